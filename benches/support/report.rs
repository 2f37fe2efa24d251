//! The report: a table and a chart in `target/bench/`.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::load::Stats;

/// Alternating measurements of the app and of its reference.
pub struct Row {
    pub what: &'static str,
    pub app: Stats,
    pub against: Stats,
    /// For each round, the app's rate divided by the reference's.
    pub ratios: Vec<f64>,
    pub wanted: Option<f64>,
}

impl Row {
    pub fn new(what: &'static str, wanted: Option<f64>) -> Self {
        Self {
            what,
            app: Stats::new(),
            against: Stats::new(),
            ratios: Vec::new(),
            wanted,
        }
    }

    /// Adds a round of each.
    pub fn add(&mut self, app: &Stats, against: &Stats) {
        self.ratios.push(app.rate() / against.rate());
        self.app.add(app);
        self.against.add(against);
    }

    /// The median of the ratios.
    pub fn ratio(&self) -> f64 {
        let mut ratios = self.ratios.clone();
        ratios.sort_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    }
}

/// The table as Markdown.
pub fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| | requests/s | p50 | p99 | against: per second | p50 | p99 | ratio | of CPU time | wanted |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let wanted = row.wanted.map_or(String::new(), |it| format!("{it:.2}"));
        let _ = writeln!(
            text,
            "| {} | {:.0} | {} | {} | {:.0} | {} | {} | {:.2} | {:.2} | {wanted} |",
            row.what,
            row.app.rate(),
            time(row.app.within(0.5)),
            time(row.app.within(0.99)),
            row.against.rate(),
            time(row.against.within(0.5)),
            time(row.against.within(0.99)),
            row.ratio(),
            row.against.cost() / row.app.cost(),
        );
    }
    text
}

/// Formats a time with a suitable unit.
pub fn time(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    match micros {
        ..1000.0 => format!("{micros:.0} µs"),
        ..100_000.0 => format!("{:.1} ms", micros / 1e3),
        _ => format!("{:.0} ms", micros / 1e3),
    }
}

/// The ratios as bars, with a mark at each goal.
pub fn chart(rows: &[Row]) -> String {
    const ROW: usize = 28;
    const LEFT: usize = 250;
    const UNIT: f64 = 380.0;
    let height = ROW * rows.len() + 50;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"720\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"8\" y=\"20\" font-weight=\"bold\">Requests per second, relative to the reference (1.0)</text>\n"
    );
    for (number, row) in rows.iter().enumerate() {
        let (y, ratio) = (34 + ROW * number, row.ratio());
        let (middle, width) = (y + 15, UNIT * ratio.min(1.1));
        let _ = writeln!(
            svg,
            "<text x=\"8\" y=\"{middle}\">{}</text>\
             <rect x=\"{LEFT}\" y=\"{y}\" width=\"{UNIT}\" height=\"20\" fill=\"#eee\"/>\
             <rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.0}\" height=\"20\" fill=\"#2b6cb0\"/>\
             <text x=\"680\" y=\"{middle}\">{ratio:.2}</text>",
            row.what
        );
        if let Some(wanted) = row.wanted {
            let x = 250.0 + UNIT * wanted;
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.0}\" y=\"{y}\" width=\"2\" height=\"20\" fill=\"#c53030\"/>"
            );
        }
    }
    svg + "</svg>\n"
}

/// Writes a file to `target/bench/`.
pub fn write(name: &str, text: &str) {
    let folder = folder();
    std::fs::create_dir_all(&folder).expect("no folder");
    std::fs::write(folder.join(name), text).expect("not written");
    println!("Written: {}", folder.join(name).display());
}

fn folder() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    target.expect("it is in target/").join("bench")
}

/// Describes the machine.
pub fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown", |it| it.trim_start_matches(['\t', ' ', ':']));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} cores ({model}), with the client on the same machine")
}
