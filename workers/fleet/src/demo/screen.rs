//! A view as a terminal shows it: the table redrawn in place, or one line now and then.
//!
//! Not here: what is shown ([`super::view`]). Invariant: the cursor is visible again however the demo
//! ends in good order, and nothing but this file writes escape codes.

use std::io::{IsTerminal as _, Write as _};

use chrono::DateTime;
use trending_cities::results::{Ranked, Trending};

use super::speed::Speed;
use super::view::{View, WorkerView};

/// Rows of the table where nothing is short of space.
const ROWS: usize = 8;
/// Rows of it that are shown however small the terminal is, and at most.
const ROWS_LEAST: usize = 3;
const ROWS_MOST: usize = 20;
/// Where what a worker has found begins: behind its name and how far it is.
const FOUND_AT: usize = 36;
/// Where it goes on below that, if it does not fit.
const GOES_ON_AT: usize = 6;

/// As many columns make a text of its own beside a head.
const WIDE: usize = 70;

/// Columns and lines.
#[derive(Debug, Clone, Copy)]
struct Size {
    columns: usize,
    lines: usize,
}

impl Size {
    /// The terminal's; what every terminal has where it does not say.
    fn of_terminal() -> Self {
        let told = console::Term::stdout().size_checked();
        let (lines, columns) = told.filter(|(lines, columns)| *lines > 0 && *columns > 0).unwrap_or((24, 80));
        Self { columns: columns.into(), lines: lines.into() }
    }
}

/// How wide a line on standard output may be: as it likes where that is no terminal.
pub(crate) fn columns_of_output() -> usize {
    if std::io::stdout().is_terminal() { Size::of_terminal().columns } else { usize::MAX }
}

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
        for line in picture(&self.frame, view, self.paint, Size::of_terminal()) {
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

/// The whole picture, line by line: one less than the terminal has, for the cursor's own.
fn picture(frame: &Frame, view: &View, paint: Paint, size: Size) -> Vec<String> {
    let mut above = vec![paint.on(Paint::BOLD, &format!("streamfleet demo   four workers, speed {}", frame.speed))];
    if frame.resumed_at > 0 {
        above.push(format!("going on after {} events: nothing is lost, nothing is doubled", grouped(frame.resumed_at)));
    }
    above.push(String::new());
    if view.warming {
        above.push(format!(
            "  {} {} {:>3.0} %   the history is being counted",
            paint.on(Paint::YELLOW, "warming"),
            bar(share(view)),
            share(view) * 100.0,
        ));
    } else {
        above.push(format!("  {}    the feed is at {} UTC", paint.on(Paint::GREEN, "live"), minute(view.feed_time_ms)));
    }
    let counts = format!(
        "{} events, {}/s, lag {}, {} late, {} poison",
        grouped(view.events),
        grouped(view.events_per_second as u64),
        grouped(view.lag),
        grouped(view.late),
        grouped(view.poison),
    );
    let commits = format!("{counts}, {} commits", grouped(view.commits));
    let head = "  trending-cities  ";
    let has_room = head.len() + commits.len() <= size.columns;
    above.extend(beside(head.to_owned(), head.len(), &[if has_room { commits } else { counts }], size.columns));
    above.extend(view.reasons.iter().take(2).map(|reason| format!("  {}: {reason}", view.state)));
    above.push(String::new());
    let below: Vec<String> = frame.hints.iter().map(|hint| paint.on(Paint::DIM, &format!("  {hint}"))).collect();
    let mut fellows: Vec<Vec<String>> = view.workers.iter().map(|worker| fellow(worker, paint, size.columns)).collect();

    // The heads of the table, the empty lines around the workers, and the cursor's line.
    let left = size.lines.saturating_sub(above.len() + below.len() + 5);
    shorten(&mut fellows, left.saturating_sub(ROWS_LEAST));
    let rows = left.saturating_sub(fellows.iter().map(Vec::len).sum()).clamp(ROWS_LEAST, ROWS_MOST);
    let mut lines = above;
    match &view.trending {
        Some(list) => lines.extend(table_of(list, paint, rows)),
        None => lines.push("  the first minute is being counted".to_owned()),
    }
    lines.push(String::new());
    lines.extend(fellows.into_iter().flatten());
    lines.push(String::new());
    lines.extend(below);
    // More would move the picture up, line by line.
    lines.truncate(size.lines.saturating_sub(1));
    lines
}

/// Cuts the longest until together they have no more than `most` lines, one each at least.
fn shorten(all: &mut [Vec<String>], most: usize) {
    while all.iter().map(Vec::len).sum::<usize>() > most {
        let Some(longest) = all.iter_mut().rev().max_by_key(|lines| lines.len()).filter(|lines| lines.len() > 1) else {
            return;
        };
        longest.pop();
        if let Some(last) = longest.last_mut()
            && !last.ends_with('…')
        {
            last.push_str(" …");
        }
    }
}

/// A worker beside the table: how far it is, and what it has found.
pub(crate) fn fellow(worker: &WorkerView, paint: Paint, columns: usize) -> Vec<String> {
    let how = if worker.warming {
        paint.on(Paint::YELLOW, &format!("warming {:>3.0} %", worker.history_counted.min(0.99) * 100.0))
    } else {
        paint.on(Paint::GREEN, "live         ")
    };
    let head = format!("  {:<18} {how}  ", worker.name);
    if worker.found.is_empty() {
        let yet = format!("{} events counted, no result yet", grouped(worker.events));
        return beside(head, FOUND_AT, &[yet], columns);
    }
    beside(head, FOUND_AT, &worker.found, columns)
}

/// `parts` beside a head that takes `at` columns: each on a line of its own and what does not fit below it; where that
/// would be narrow, all as one text that goes on below the head.
fn beside(head: String, at: usize, parts: &[String], columns: usize) -> Vec<String> {
    let is_wide = columns >= at + WIDE || parts.iter().all(|part| at + part.chars().count() <= columns);
    let (texts, indent) = if is_wide { (parts.to_vec(), at) } else { (vec![parts.join("; ")], GOES_ON_AT) };
    let mut lines = Vec::new();
    let mut line = head;
    for text in texts {
        let (mut used, mut is_begun) = (at, false);
        for word in together(&text) {
            let width = word.chars().count() + usize::from(is_begun);
            // The mark of what is cut may follow the last word.
            if is_begun && used + width + 2 > columns {
                lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
                (used, is_begun) = (indent, false);
            }
            if is_begun {
                line.push(' ');
            }
            line.push_str(&word);
            used += word.chars().count() + usize::from(is_begun);
            is_begun = true;
        }
        lines.push(std::mem::replace(&mut line, " ".repeat(at)));
    }
    lines
}

/// The words of a text, of which a number stays whole and beside its unit.
fn together(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let begins_with_digit = word.starts_with(|c: char| c.is_ascii_digit());
        match words.last_mut().filter(|last| last.ends_with(|c: char| c.is_ascii_digit())) {
            Some(last) if begins_with_digit || word.starts_with('%') || word.starts_with("ms") => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// A list as a table.
pub(crate) fn table(list: &Trending, paint: Paint) -> Vec<String> {
    table_of(list, paint, ROWS)
}

fn table_of(list: &Trending, paint: Paint, most: usize) -> Vec<String> {
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
    lines.extend(rows.iter().take(most).map(|ranked| row(ranked, paint)));
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

    fn worker(name: &'static str, found: &[&str]) -> WorkerView {
        WorkerView {
            name,
            events: 1_234,
            lag: 0,
            commits: 1,
            late: 0,
            poison: 0,
            results: 1,
            state: "running",
            warming: true,
            history_counted: 0.41,
            found: found.iter().map(|line| (*line).to_owned()).collect(),
        }
    }

    fn view(workers: Vec<WorkerView>) -> View {
        View {
            seconds: 10.0,
            feed_position: 1,
            feed_time_ms: 1,
            world_position: 1,
            world_time_ms: 1,
            events: 1_520_412,
            events_per_second: 11_584.0,
            warming: true,
            history_counted: 0.2,
            lag: 25_700,
            commits: 5_587,
            late: 15_466,
            poison: 1_371,
            results: 1,
            state: "running",
            reasons: vec!["it waits".to_owned()],
            trending: Some(list()),
            workers,
        }
    }

    fn list() -> Trending {
        let rows: Vec<serde_json::Value> = (1..=20)
            .map(|rank| {
                serde_json::json!({
                    "rank": rank, "previous_rank": null, "city": format!("City {rank}"),
                    "country": "DE", "volume": 10, "distinct_users": 5, "baseline": 1.0, "score": 2.0,
                })
            })
            .collect();
        let list = serde_json::json!({
            "run_id": "live", "revision": 0, "key": "world@1", "window_start_ms": 0, "window_end_ms": 3_600_000,
            "scope": "world", "is_final": true, "warming": true, "trending": rows, "volume": [],
        });
        serde_json::from_value(list).unwrap()
    }

    const FOUND: [(&str, &[&str]); 3] = [
        (
            "llm-rollups",
            &[
                "hour to Nov 22 15:00: 0.1445 USD for 85 calls, p95 6 324 ms, 0 failed, 9 unpriced",
                "budgets: biz-0-daily 100 %, everybody-monthly 80 % spent",
            ],
        ),
        ("engagement-metrics", &[]),
        (
            "model-performance",
            &["ranker-2026: treatment 10.8 % against control 7.6 %, 13 294 users, p < 0.0001: better"],
        ),
    ];

    #[test]
    fn a_picture_fits_into_its_terminal_and_shows_every_worker() {
        let frame = Frame { speed: Speed::Max, resumed_at: 7, hints: vec!["look in".to_owned(), "also".to_owned()] };
        let view = view(FOUND.map(|(name, found)| worker(name, found)).into());
        let sizes = [(80, 24), (80, 20), (60, 24), (120, 40), (200, 50), (40, 10)];
        for (columns, lines) in sizes {
            let picture = picture(&frame, &view, Paint::PLAIN, Size { columns, lines });
            assert!(picture.len() < lines, "{columns}x{lines} has {} lines", picture.len());
            if lines < 20 {
                continue;
            }
            for (name, _) in FOUND {
                assert!(picture.iter().any(|line| line.contains(name)), "{name} at {columns}x{lines}: {picture:#?}");
            }
            assert!(
                lines < 24 || picture.last().is_some_and(|line| line == "  also"),
                "{columns}x{lines}: {picture:#?}"
            );
            let text = picture.iter().filter(|line| !line.contains("City") && !line.contains("rank"));
            assert!(columns < 80 || text.clone().all(|line| line.chars().count() <= columns), "{picture:#?}");
        }
        let wide = picture(&frame, &view, Paint::PLAIN, Size { columns: 200, lines: 50 });
        assert_eq!(wide.iter().filter(|line| line.contains("City")).count(), 20, "{wide:#?}");
        assert!(wide.iter().any(|line| line.trim() == FOUND[0].1[1]), "{wide:#?}");
    }

    #[test]
    fn what_a_worker_has_found_loses_no_word_where_there_is_room() {
        let (name, found) = FOUND[0];
        for columns in [50, 60, 80, 120, 200] {
            let lines = fellow(&worker(name, found), Paint::PLAIN, columns);
            assert!(lines.iter().all(|line| line.chars().count() <= columns), "{lines:#?}");
            let words: Vec<String> = lines.iter().flat_map(|line| line.split_whitespace()).map(str::to_owned).collect();
            let wanted = found.join(if lines.iter().any(|line| line.contains(';')) { "; " } else { " " });
            assert_eq!(words[4..].join(" "), wanted, "{columns}: {lines:#?}");
        }
    }

    #[test]
    fn who_has_found_nothing_says_how_much_it_has_counted() {
        let lines = fellow(&worker("llm-rollups", &[]), Paint::PLAIN, 80);
        assert_eq!(lines, ["  llm-rollups        warming  41 %  1 234 events counted, no result yet"]);
    }

    #[test]
    fn a_number_is_not_parted_from_its_unit() {
        let words = together("47 655 of 97 922, 41.5 % after 1 day, p95 6 324 ms, to Nov 22 19:00");
        let wanted =
            ["47 655", "of", "97 922,", "41.5 %", "after", "1", "day,", "p95 6 324 ms,", "to", "Nov", "22 19:00"];
        assert_eq!(words, wanted);
    }

    #[test]
    fn the_longest_is_cut_first() {
        let mut all = [vec!["a".to_owned(); 3], vec!["b".to_owned()]];
        shorten(&mut all, 3);
        assert_eq!(all, [vec!["a".to_owned(), "a …".to_owned()], vec!["b".to_owned()]]);
        shorten(&mut all, 0);
        assert_eq!(all.map(|lines| lines.len()), [1, 1]);
    }

    #[test]
    fn a_bar_is_as_wide_when_it_is_full() {
        assert_eq!(bar(0.0).len(), bar(1.0).len());
        assert_eq!(bar(2.0), bar(1.0));
    }
}
