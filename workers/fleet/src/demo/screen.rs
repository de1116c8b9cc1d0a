//! A view as a terminal shows it: the table redrawn in place, or one line now and then.
//!
//! Not here: what is shown ([`super::view`]). Invariant: the cursor is visible again however the demo
//! ends in good order, and nothing but this file writes escape codes.

use std::io::Write as _;

use chrono::DateTime;
use trending_cities::results::{Ranked, Trending};

use super::speed::Speed;
use super::view::{View, WorkerView};

/// Rows of the table; with the lines around it they fit into 24, the height that every terminal has.
const ROWS: usize = 8;

/// Colours, or none where somebody asked for none (<https://no-color.org>).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint(bool);

impl Paint {
    pub(crate) const PLAIN: Self = Self(false);
    const BOLD: &str = "1";
    const DIM: &str = "2";
    const GREEN: &str = "32";
    const YELLOW: &str = "33";
    const CYAN: &str = "36";

    fn as_asked() -> Self {
        Self(std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
    }

    fn on(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// What does not change while a demo runs.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) speed: Speed,
    /// Events of the feed in the log when this process began.
    pub(crate) resumed_at: u64,
    /// What can be done beside it, below the table.
    pub(crate) hints: Vec<String>,
}

/// The terminal, drawn in place.
pub(crate) struct Screen {
    frame: Frame,
    paint: Paint,
}

impl Screen {
    pub(crate) fn open(frame: Frame) -> Self {
        // Clears the screen, hides the cursor, and cuts long lines instead of wrapping them.
        print!("\x1b[2J\x1b[?25l\x1b[?7l");
        Self { frame, paint: Paint::as_asked() }
    }

    pub(crate) fn draw(&self, view: &View) {
        let mut text = String::from("\x1b[H");
        for line in picture(&self.frame, view, self.paint) {
            text.push_str(&line);
            text.push_str("\x1b[K\n");
        }
        text.push_str("\x1b[J");
        print!("{text}");
        // A terminal that is gone takes nothing; the signal that follows ends the demo.
        drop(std::io::stdout().flush());
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        println!("\x1b[?7h\x1b[?25h");
    }
}

/// What a demo without a terminal prints now and then.
pub(crate) fn progress_line(view: &View) -> String {
    let first = view.trending.as_ref().and_then(|list| list.trending.first().or(list.volume.first()));
    format!(
        "{:>6.1} s  {}  feed {}  events {}  {:.0} events/s  lag {}  commits {}  late {}  poison {}  results {}  first {}  world {}",
        view.seconds,
        if view.warming { format!("warming {:>3.0} %", share(view) * 100.0) } else { "live         ".to_owned() },
        minute(view.feed_time_ms),
        view.events,
        view.events_per_second,
        view.lag,
        view.commits,
        view.late,
        view.poison,
        view.results,
        first.map_or("-", |first| first.city.as_str()),
        minute(view.world_time_ms),
    )
}

/// The whole picture, line by line.
fn picture(frame: &Frame, view: &View, paint: Paint) -> Vec<String> {
    let mut lines = vec![paint.on(Paint::BOLD, &format!("streamfleet demo   four workers, speed {}", frame.speed))];
    if frame.resumed_at > 0 {
        lines.push(format!("going on after {} events: nothing is lost, nothing is doubled", grouped(frame.resumed_at)));
    }
    lines.push(String::new());
    if view.warming {
        lines.push(format!(
            "  {} {} {:>3.0} %   the history is being counted",
            paint.on(Paint::YELLOW, "warming"),
            bar(share(view)),
            share(view) * 100.0,
        ));
    } else {
        lines.push(format!("  {}    the feed is at {} UTC", paint.on(Paint::GREEN, "live"), minute(view.feed_time_ms)));
    }
    lines.push(format!(
        "  {} events, {}/s   lag {}   commits {}   late {}   poison {}",
        grouped(view.events),
        grouped(view.events_per_second as u64),
        grouped(view.lag),
        grouped(view.commits),
        grouped(view.late),
        grouped(view.poison),
    ));
    lines.extend(view.reasons.iter().take(2).map(|reason| format!("  {}: {reason}", view.state)));
    lines.push(String::new());
    match &view.trending {
        Some(list) => lines.extend(table(list, paint)),
        None => lines.push("  the first minute is being counted".to_owned()),
    }
    lines.push(String::new());
    lines.extend(view.workers.iter().flat_map(|worker| fellow(worker, paint)));
    lines.push(String::new());
    lines.extend(frame.hints.iter().map(|hint| paint.on(Paint::DIM, &format!("  {hint}"))));
    lines
}

/// A worker beside the table: how far it is, and what it has found.
pub(crate) fn fellow(worker: &WorkerView, paint: Paint) -> Vec<String> {
    let how = if worker.warming {
        paint.on(Paint::YELLOW, &format!("warming {:>3.0} %", worker.history_counted.min(0.99) * 100.0))
    } else {
        paint.on(Paint::GREEN, "live         ")
    };
    let found = worker.found.first().map_or("nothing yet", String::as_str);
    let mut lines = vec![format!("  {:<18} {how}  {found}", worker.name)];
    lines.extend(worker.found.iter().skip(1).map(|line| format!("  {:<18} {:<13}  {line}", "", "")));
    lines
}

/// A list as a table.
pub(crate) fn table(list: &Trending, paint: Paint) -> Vec<String> {
    let (rows, by) =
        if list.trending.is_empty() { (&list.volume, "searched most") } else { (&list.trending, "trending") };
    let mut lines = vec![format!(
        "  {by} in the world, {} to {} UTC{}",
        minute(list.stamp.window_start_ms),
        clock(list.stamp.window_end_ms),
        if list.warming { paint.on(Paint::YELLOW, "   warming: under a day") } else { String::new() },
    )];
    let heads = ("rank", "was", "city", "country", "volume", "users", "expected", "score");
    let (rank, was, city, country, volume, users, expected, score) = heads;
    lines.push(paint.on(
        Paint::DIM,
        &format!("  {rank:>4} {was:>4}  {city:<24} {country:<7} {volume:>7} {users:>6} {expected:>9} {score:>7}"),
    ));
    lines.extend(rows.iter().take(ROWS).map(|ranked| row(ranked, paint)));
    lines
}

fn row(row: &Ranked, paint: Paint) -> String {
    let was = row.previous_rank.map_or("new".to_owned(), |rank| rank.to_string());
    let text = format!(
        "  {:>4} {:>4}  {:<24} {:<7} {:>7} {:>6} {:>9.1} {:>7.2}",
        row.rank,
        was,
        cut(&row.city, 24),
        row.country,
        row.volume,
        row.distinct_users,
        row.baseline,
        row.score
    );
    match row.previous_rank {
        Some(before) if before > row.rank => paint.on(Paint::GREEN, &text),
        Some(_) => text,
        None => paint.on(Paint::CYAN, &text),
    }
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most { text.to_owned() } else { text.chars().take(most - 1).chain(['…']).collect() }
}

/// Never 100 % before it is whole.
fn share(view: &View) -> f64 {
    if view.warming { view.history_counted.min(0.99) } else { 1.0 }
}

fn bar(share: f64) -> String {
    const WIDTH: usize = 30;
    let full = ((share * WIDTH as f64) as usize).min(WIDTH);
    format!("[{}{}]", "#".repeat(full), ".".repeat(WIDTH - full))
}

/// `1 234 567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Minutes are enough for windows of a minute.
fn minute(ms: i64) -> String {
    shown(ms, "%Y-%m-%d %H:%M")
}

fn clock(ms: i64) -> String {
    shown(ms, "%H:%M")
}

/// Nothing here is as old as 1970: 0 is a clock that has not been set yet.
fn shown(ms: i64, form: &str) -> String {
    let known = DateTime::from_timestamp_millis(ms).filter(|_| ms != 0);
    known.map_or_else(|| "-".to_owned(), |time| time.format(form).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1 000"), (1_234_567, "1 234 567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn long_names_are_cut_at_a_character() {
        assert_eq!(cut("Łódź", 24), "Łódź");
        assert_eq!(cut("ąąąą", 3), "ąą…");
    }

    #[test]
    fn a_bar_is_as_wide_when_it_is_full() {
        assert_eq!(bar(0.0).len(), bar(1.0).len());
        assert_eq!(bar(2.0), bar(1.0));
    }
}
