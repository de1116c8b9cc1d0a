//! A view as a terminal shows it: the table redrawn in place, or one line now and then.
//!
//! Not here: what is shown ([`super::view`]). Invariant: the cursor is visible again however the demo
//! ends in good order, and nothing but this file writes escape codes.

use std::io::Write as _;

use chrono::DateTime;
use trending_cities::results::Ranked;

use super::view::View;

/// Rows of the table.
const ROWS: usize = 15;

/// The terminal, drawn in place.
pub(crate) struct Screen {
    title: String,
}

impl Screen {
    pub(crate) fn open(title: String) -> Self {
        // Clears the screen and hides the cursor.
        print!("\x1b[2J\x1b[?25l");
        Self { title }
    }

    pub(crate) fn draw(&self, view: &View) {
        let mut text = String::from("\x1b[H");
        for line in lines(&self.title, view) {
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
        println!("\x1b[?25h");
    }
}

/// What a demo without a terminal prints now and then.
pub(crate) fn progress_line(view: &View) -> String {
    let top = view.trending.as_ref().and_then(|list| list.trending.first().or(list.volume.first()));
    format!(
        "{:>6.1} s  {}  fed {}  in {}  {:.0} events/s  lag {}  commits {}  late {}  poison {}  results {}  first: {}{}",
        view.seconds,
        time(view.feed_time_ms),
        view.feed_position,
        view.events,
        view.events_per_second,
        view.lag,
        view.commits,
        view.late,
        view.dead_letters,
        view.results,
        top.map_or("-", |first| first.city.as_str()),
        if view.warming { "  (warming)" } else { "" },
    )
}

/// The whole picture, line by line, without escape codes but for colours.
pub(crate) fn lines(title: &str, view: &View) -> Vec<String> {
    let mut lines = vec![format!("\x1b[1m{title}\x1b[0m"), String::new()];
    lines.push(format!(
        "  feed {}   {} events/s   lag {}   commits {}   late {}   poison {}   results {}",
        time(view.feed_time_ms),
        grouped(view.events_per_second as u64),
        grouped(view.lag),
        grouped(view.commits),
        grouped(view.late),
        grouped(view.dead_letters),
        grouped(view.results),
    ));
    if view.feed_history > 0 && (view.feed_position < view.feed_history || view.warming) {
        let share = view.feed_position.min(view.feed_history) as f64 / view.feed_history as f64;
        lines.push(format!(
            "  \x1b[33mwarming\x1b[0m {} {:>3.0} % of the history is in the log",
            bar(share),
            share * 100.0
        ));
    } else {
        lines.push(format!("  {} events in the log, live", grouped(view.feed_position)));
    }
    for reason in view.reasons.iter().take(2) {
        lines.push(format!("  {}: {reason}", view.state));
    }
    lines.push(String::new());
    let Some(list) = &view.trending else {
        lines.push("  no window has closed yet".to_owned());
        return lines;
    };
    let (rows, by) = if list.trending.is_empty() { (&list.volume, "volume") } else { (&list.trending, "trend") };
    lines.push(format!(
        "  the world by {by}, {} to {}{}",
        time(list.stamp.window_start_ms),
        time(list.stamp.window_end_ms),
        if list.warming { "   \x1b[33mwarming: less than a day of history\x1b[0m" } else { "" },
    ));
    lines.push(format!(
        "  \x1b[2m{:>4} {:>5}  {:<24} {:<7} {:>7} {:>7} {:>9} {:>8}\x1b[0m",
        "rank", "was", "city", "country", "volume", "users", "expected", "score"
    ));
    lines.extend(rows.iter().take(ROWS).map(row));
    lines
}

fn row(row: &Ranked) -> String {
    let was = row.previous_rank.map_or("new".to_owned(), |rank| rank.to_string());
    let (colour, end) = match row.previous_rank {
        Some(before) if before > row.rank => ("\x1b[32m", "\x1b[0m"),
        None => ("\x1b[36m", "\x1b[0m"),
        _ => ("", ""),
    };
    format!(
        "  {colour}{:>4} {:>5}  {:<24} {:<7} {:>7} {:>7} {:>9.1} {:>8.2}{end}",
        row.rank,
        was,
        cut(&row.city, 24),
        row.country,
        row.volume,
        row.distinct_users,
        row.baseline,
        row.score
    )
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most { text.to_owned() } else { text.chars().take(most - 1).chain(['…']).collect() }
}

fn bar(share: f64) -> String {
    const WIDTH: usize = 30;
    let full = (share * WIDTH as f64) as usize;
    format!("[{}{}]", "#".repeat(full.min(WIDTH)), ".".repeat(WIDTH - full.min(WIDTH)))
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
pub(crate) fn time(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).map_or_else(|| "-".to_owned(), |time| time.format("%Y-%m-%d %H:%M").to_string())
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
}
