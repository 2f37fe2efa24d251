//! A bounded queue that is fair across clients.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::Load;

/// The client that a job belongs to. All jobs without a key belong to one client.
pub(super) type Client = Option<Arc<str>>;

/// The queue is full, and no other client has more jobs in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

/// Jobs for several threads. Clients take turns: a thread gets the oldest job of the next
/// client, so a flood from one client delays another client by one job.
///
/// A full queue makes room by dropping the newest job of the client with the most jobs.
/// Dropping a job refuses it, and its waiter gets an error.
pub(super) struct Queue<J> {
    capacity: usize,
    state: Mutex<State<J>>,
    has_changed: Condvar,
}

struct State<J> {
    /// Clients with waiting jobs, in the order of their turns. A linear search is enough:
    /// there are never more of them than jobs.
    clients: VecDeque<(Client, VecDeque<J>)>,
    load: Load,
    is_closed: bool,
}

impl<J> Queue<J> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            state: Mutex::new(State {
                clients: VecDeque::new(),
                load: Load::default(),
                is_closed: false,
            }),
            has_changed: Condvar::new(),
        }
    }

    /// Adds a job, and drops another client's if the queue is full.
    pub(super) fn push(&self, client: &Client, job: J) -> Result<(), Full> {
        let mut state = self.lock();
        let evicted = if state.load.waiting < self.capacity {
            None
        } else {
            Some(state.evict_for(client).ok_or(Full)?)
        };
        state.add(client, job);
        drop(state);
        self.has_changed.notify_one();
        drop(evicted); // its waiter wakes up without the lock
        Ok(())
    }

    /// Waits for the next job and counts it as running until [`Queue::finish`]. Returns
    /// `None` once the queue is closed and empty.
    pub(super) fn next(&self) -> Option<J> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.take_next() {
                return Some(job);
            }
            if state.is_closed {
                return None;
            }
            let waited = self.has_changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Counts a job of [`Queue::next`] as done.
    pub(super) fn finish(&self) {
        self.lock().load.running -= 1;
    }

    /// Ends the threads once the waiting jobs are done.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.has_changed.notify_all();
    }

    pub(super) fn load(&self) -> Load {
        self.lock().load
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J> State<J> {
    fn add(&mut self, client: &Client, job: J) {
        match self.clients.iter_mut().find(|(it, _)| it == client) {
            Some((_, jobs)) => jobs.push_back(job),
            None => self.clients.push_back((client.clone(), [job].into())),
        }
        self.load.waiting += 1;
    }

    fn take_next(&mut self) -> Option<J> {
        let (client, mut jobs) = self.clients.pop_front()?;
        let job = jobs.pop_front()?;
        if !jobs.is_empty() {
            self.clients.push_back((client, jobs));
        }
        self.load.waiting -= 1;
        self.load.running += 1;
        Some(job)
    }

    /// Takes the newest job of the client with the most; among equals, of the one whose turn
    /// comes last. `None` when the newcomer's client is among those with the most.
    fn evict_for(&mut self, newcomer: &Client) -> Option<J> {
        let count = |(_, jobs): &(Client, VecDeque<J>)| jobs.len();
        let own = self.clients.iter().find(|(it, _)| it == newcomer);
        let own = own.map_or(0, count);
        let counts = self.clients.iter().map(count).enumerate();
        let (index, most) = counts.max_by_key(|it| it.1)?;
        if own >= most {
            return None;
        }
        let (_, jobs) = self.clients.get_mut(index)?;
        let job = jobs.pop_back();
        if jobs.is_empty() {
            self.clients.remove(index);
        }
        self.load.waiting -= 1;
        job
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds a number of jobs of each client, one client after the other. A job is named after
    /// its client and number.
    fn queue(clients: &[(&str, usize)]) -> Queue<String> {
        let queue = Queue::new(64);
        for (name, jobs) in clients {
            for number in 0..*jobs {
                push(&queue, name, number).unwrap();
            }
        }
        queue
    }

    fn push(queue: &Queue<String>, client: &str, number: usize) -> Result<(), Full> {
        queue.push(&Some(client.into()), format!("{client}{number}"))
    }

    /// The waiting jobs in the order in which threads take them.
    fn rest(queue: &Queue<String>) -> Vec<String> {
        queue.close();
        std::iter::from_fn(|| queue.next()).collect()
    }

    #[test]
    fn clients_take_turns_and_each_ones_oldest_job_comes_first() {
        let jobs = rest(&queue(&[("a", 3), ("b", 1), ("c", 2)]));
        assert_eq!(jobs, ["a0", "b0", "c0", "a1", "c1", "a2"]);
        let jobs = rest(&queue(&[("flood", 63), ("alice", 1)]));
        assert_eq!(jobs[..3], ["flood0", "alice0", "flood1"]);
    }

    #[test]
    fn a_client_that_comes_back_waits_for_its_turn() {
        let queue = queue(&[("a", 2), ("b", 2)]);
        assert_eq!(queue.next().unwrap(), "a0");
        push(&queue, "c", 0).unwrap();
        push(&queue, "a", 2).unwrap();
        assert_eq!(rest(&queue), ["b0", "a1", "c0", "b1", "a2"]);
    }

    #[test]
    fn all_jobs_without_a_key_belong_to_one_client() {
        let queue = queue(&[("a", 2)]);
        for number in 0..2 {
            queue.push(&None, format!("none{number}")).unwrap();
        }
        assert_eq!(rest(&queue), ["a0", "none0", "a1", "none1"]);
    }

    #[test]
    fn a_full_queue_evicts_the_newest_job_of_the_largest_client_or_refuses() {
        let singles: Vec<String> = (0..64).map(|number| format!("client{number}-")).collect();
        let singles: Vec<(&str, usize)> = singles.iter().map(|name| (name.as_str(), 1)).collect();
        for (clients, newcomer, expected) in [
            (&[("flood", 40), ("other", 24)][..], "bob", Ok("flood39")),
            (&[("flood", 64)], "flood", Err(Full)),
            (&[("flood", 64)], "alice", Ok("flood63")),
            (&[("a", 32), ("b", 32)], "a", Err(Full)),
            (&[("a", 32), ("b", 32)], "b", Err(Full)),
            (&[("a", 32), ("b", 32)], "c", Ok("b31")), // b has the last turn
            (&[("a", 33), ("b", 31)], "b", Ok("a32")),
            (&singles, "alice", Ok("client63-0")),
        ] {
            let full = queue(clients);
            let pushed = push(&full, newcomer, 99);
            assert_eq!(full.load().waiting, 64, "{clients:?}");
            let (before, after) = (rest(&queue(clients)), rest(&full));
            let evicted = before.iter().find(|job| !after.contains(job));
            assert_eq!(evicted.map(String::as_str), expected.as_ref().ok().copied());
            assert_eq!(pushed, expected.map(|_| ()), "{newcomer}, {clients:?}");
            assert_eq!(after.contains(&format!("{newcomer}99")), pushed.is_ok());
        }
    }

    #[test]
    fn jobs_count_as_waiting_then_as_running_then_no_longer() {
        let queue = queue(&[("a", 2)]);
        let load = || (queue.load().waiting, queue.load().running);
        assert_eq!(load(), (2, 0));
        queue.next();
        assert_eq!(load(), (1, 1));
        queue.finish();
        assert_eq!(load(), (1, 0));
    }
}
