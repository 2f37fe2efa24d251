//! Rate limits: counting, the limits of routes, and the attacks that the limits stop.

mod attacks;
mod clock;
mod counting;
mod logins;
mod routes;
