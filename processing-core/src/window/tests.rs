//! Windows and panes against their naive definitions, one millisecond at a time.

use proptest::prelude::*;

use super::*;

/// The numbers of windows of one size.
fn even(windows: &Windows) -> &Even {
    match &windows.0 {
        Kind::Even(even) => even,
        Kind::Calendar(_) => panic!("windows of one size"),
    }
}

const HOUR: Windows =
    match Windows::new(DurationMs::minutes(60), DurationMs::minutes(1), DurationMs::seconds(30), DurationMs(0)) {
        Ok(windows) => windows,
        Err(_) => panic!("checked when compiled"),
    };

fn starts(windows: impl Iterator<Item = Window>) -> Vec<i64> {
    windows.map(|window| window.start.0).collect()
}

#[test]
fn aligned_to_the_epoch_on_both_sides_of_it() {
    let tumbling = Tumbling::seconds(10).windows().unwrap();
    assert_eq!(starts(tumbling.windows_of(EventTime(0))), [0]);
    assert_eq!(starts(tumbling.windows_of(EventTime(-1))), [-10_000]);
    assert_eq!(starts(tumbling.windows_of(EventTime(-10_000))), [-10_000]);
    let hopping = Hopping::new(DurationMs(5), DurationMs(2)).windows().unwrap();
    assert_eq!(starts(hopping.windows_of(EventTime(-1))), [-4, -2]);
    let moved = Tumbling::hours(24).offset(DurationMs::hours(22)).windows().unwrap();
    assert_eq!(starts(moved.windows_of(EventTime(0))), [-7_200_000]);
    assert_eq!(HOUR.windows_of(EventTime(0)).count(), 60);
    assert_eq!(HOUR.panes_of(EventTime(0)).count(), 60);
}

#[test]
fn a_window_closes_and_refuses_at_the_same_moment() {
    let windows = Tumbling::millis(10).grace(DurationMs(3)).windows().unwrap();
    let event = EventTime(4);
    assert_eq!(windows.first_accepting(event, EventTime(12)), Some(EventTime(0)));
    assert_eq!(windows.closable_through(EventTime(12)), Some(EventTime(-10)));
    assert_eq!(windows.next_close_after(EventTime(12)), EventTime(13));
    assert_eq!(windows.first_accepting(event, EventTime(13)), None);
    assert_eq!(windows.closable_through(EventTime(13)), Some(EventTime(0)));
    assert_eq!(windows.next_close_after(EventTime(13)), EventTime(23));
}

#[test]
fn before_and_after_all_time() {
    for windows in [HOUR, Tumbling::millis(7).offset(DurationMs(6)).windows().unwrap()] {
        let event = EventTime(5);
        for before in [i64::MIN, i64::MIN + 40, i64::MIN + 4_000_000, -(1 << 62) - 4_000_000] {
            assert_eq!(windows.closable_through(EventTime(before)), None);
        }

        assert_eq!(
            windows.first_accepting(event, EventTime::MIN),
            windows.windows_of(event).map(|window| window.start).next()
        );
        assert_eq!(windows.first_accepting(event, EventTime::MAX), None);
        assert_eq!(windows.first_accepting(EventTime::MAX, EventTime::MAX), None);
        let last = windows.windows_of(EventTime::MAX).last().unwrap();
        assert!(windows.closable_through(EventTime::MAX) >= Some(last.start));
        assert_eq!(windows.next_close_after(EventTime::MAX), EventTime::MAX);
        assert_eq!(windows.pane_of(EventTime::MAX), windows.pane_of(TIME_MAX));
    }
}

#[test]
fn senseless_windows_are_explained() {
    let check = |windows: Result<Windows, WindowError>, part: &str| {
        let text = windows.unwrap_err().to_string();
        assert!(text.contains(part), "{text}");
    };
    check(Tumbling::seconds(0).windows(), "0 ms holds no event");
    check(Hopping::new(DurationMs(5), DurationMs(0)).windows(), "never move");
    check(Hopping::new(DurationMs(5), DurationMs(6)).windows(), "leave gaps");
    check(Tumbling::seconds(1).grace(DurationMs(-1)).windows(), "grace of -1 ms");
    check(Tumbling::hours(i64::MAX).windows(), "9 million years");
    check(Tumbling::seconds(1).grace(DurationMs(i64::MAX)).windows(), "9 million years");
}

/// Some windows, and a place in time: around 1970, or at either end of time.
fn anywhere() -> impl Strategy<Value = (Windows, i64)> {
    let place = prop_oneof![
        6 => -150i64..150,
        1 => (-TIME_MAX.0)..(-TIME_MAX.0 + 150),
        1 => (TIME_MAX.0 - 150)..=TIME_MAX.0,
    ];
    (1i64..40, 0i64..40, 0i64..50, -99i64..99, place).prop_map(|(size, advance, grace, offset, time)| {
        let (size, advance) = (DurationMs(size), DurationMs(1 + advance % size));
        (Windows::new(size, advance, DurationMs(grace), DurationMs(offset)).unwrap(), time)
    })
}

/// The naive definitions, one millisecond at a time.
impl Windows {
    fn starts_at(&self, time: i64) -> bool {
        (time - even(self).offset) % even(self).advance == 0
    }

    fn ends_at(&self, time: i64) -> bool {
        self.starts_at(time - even(self).size)
    }

    fn naive_windows_of(&self, time: i64) -> Vec<Window> {
        (time - even(self).size + 1..=time)
            .filter(|start| self.starts_at(*start))
            .map(|start| Window { start: EventTime(start), end: EventTime(start + even(self).size) })
            .collect()
    }

    fn naive_pane_of(&self, time: i64) -> Pane {
        let is_cut = |time: &i64| self.starts_at(*time) || self.ends_at(*time);
        let start = (time - even(self).advance..=time).rev().find(is_cut).unwrap();
        let end = (time + 1..=time + even(self).advance).find(is_cut).unwrap();
        Pane { start: EventTime(start), end: EventTime(end) }
    }
}

proptest! {
    #[test]
    fn windows_and_panes_are_the_naive_ones((windows, time) in anywhere()) {
        let at = EventTime(time);
        let naive = windows.naive_windows_of(time);
        prop_assert_eq!(&windows.windows_of(at).collect::<Vec<_>>(), &naive);
        let pane = windows.pane_of(at);
        prop_assert_eq!(pane, windows.naive_pane_of(time));
        prop_assert_eq!(Some(windows.first_window_of(pane)), naive.first().map(|w| w.start));
        prop_assert_eq!(Some(windows.last_window_of(pane)), naive.last().map(|w| w.start));
        for window in naive {
            prop_assert!(window.start <= pane.start && pane.end <= window.end);
            prop_assert_eq!(windows.window_at(window.start), window);
            let mut expected = Vec::new();
            let mut from = window.start.0;
            while from < window.end.0 {
                let pane = windows.naive_pane_of(from);
                expected.push(pane);
                from = pane.end.0;
            }
            prop_assert_eq!(from, window.end.0);
            prop_assert_eq!(windows.panes_of(window.start).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn at_most_two_panes_per_advance((windows, time) in anywhere()) {
        let start = windows.last_window_of(windows.pane_of(EventTime(time.clamp(-150, 150)))).0;
        let panes: std::collections::BTreeSet<_> =
            (start..start + even(&windows).advance).map(|ms| windows.pane_of(EventTime(ms)).start).collect();
        let is_divided = even(&windows).size % even(&windows).advance != 0;
        prop_assert_eq!(panes.len(), 1 + usize::from(is_divided));
    }

    #[test]
    fn lateness_is_the_naive_one((windows, time) in anywhere(), ahead in -60i64..130) {
        let stream_time = EventTime(time + ahead);
        let accepting: Vec<_> = windows
            .naive_windows_of(time)
            .into_iter()
            .filter(|window| window.end.0 + even(&windows).grace > stream_time.0)
            .map(|window| window.start)
            .collect();
        let first = windows.first_accepting(EventTime(time), stream_time);
        prop_assert_eq!(first, accepting.first().copied());
        for window in windows.windows_of(EventTime(time)) {
            let is_closed = windows.close_of(window) <= stream_time;
            prop_assert_eq!(is_closed, windows.closable_through(stream_time) >= Some(window.start));
            prop_assert_eq!(!is_closed, first.is_some_and(|first| first <= window.start));
        }
    }

    #[test]
    fn closes_are_the_naive_ones((windows, time) in anywhere()) {
        let span = even(&windows).size + even(&windows).grace;
        let next = (time + 1..).find(|close| windows.starts_at(close - span)).unwrap();
        prop_assert_eq!(windows.next_close_after(EventTime(time)), EventTime(next));
        let last = (time - span - even(&windows).advance..=time - span).rev().find(|start| windows.starts_at(*start));
        // Windows from before all time are closed by nothing: there are none.
        if time - span >= -TIME_MAX.0 - even(&windows).size {
            prop_assert_eq!(windows.closable_through(EventTime(time)), last.map(EventTime));
        }
    }

    #[test]
    fn nothing_overflows(
        size in prop_oneof![1i64..100, any::<i64>()], advance in prop_oneof![1i64..100, any::<i64>()],
        grace in prop_oneof![0i64..100, any::<i64>()], offset: i64,
        time in prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX)],
        stream_time in prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX)],
    ) {
        let spans = [size, advance, grace, offset].map(DurationMs);
        let Ok(windows) = Windows::new(spans[0], spans[1], spans[2], spans[3]) else { return Ok(()) };
        let (time, stream_time) = (EventTime(time), EventTime(stream_time));
        let pane = windows.pane_of(time);
        prop_assert!(pane.start.0 <= time.0.clamp(-TIME_MAX.0, TIME_MAX.0) && time.0.clamp(-TIME_MAX.0, TIME_MAX.0) < pane.end.0);
        for window in windows.windows_of(time).take(3).chain(windows.windows_of(time).rev().take(3)) {
            prop_assert!(window.start <= pane.start && pane.end <= window.end);
            prop_assert_eq!(window.end.0 - window.start.0, size);
            let first = windows.panes_of(window.start).next().map(|pane| pane.start);
            prop_assert_eq!(first, Some(window.start));
        }
        prop_assert_eq!(windows.panes_of(time).take(3).filter(|pane| pane.end <= pane.start).count(), 0);
        let accepting = windows.first_accepting(time, stream_time);
        prop_assert!(accepting.is_none_or(|start| windows.close_of(windows.window_at(start)) > stream_time));
        prop_assert!(windows.next_close_after(stream_time) > stream_time || stream_time == EventTime::MAX);
        let closed = windows.closable_through(stream_time);
        prop_assert!(closed.is_none_or(|start| windows.close_of(windows.window_at(start)) <= stream_time));
    }
}
