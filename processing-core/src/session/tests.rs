//! The arithmetic of sessions against its definition.

use proptest::prelude::*;

use super::*;

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

fn windows(sessions: Sessions) -> SessionWindows {
    sessions.windows().unwrap()
}

fn half_hours() -> Sessions {
    Sessions::gap(DurationMs::minutes(30))
}

#[test]
fn senseless_sessions_are_explained() {
    let check = |sessions: Sessions, part: &str| {
        let text = sessions.windows().unwrap_err().to_string();
        assert!(text.contains(part), "{text}");
    };
    check(Sessions::gap(DurationMs(0)), "at least 1 ms");
    check(half_hours().grace(DurationMs(-1)), "grace of -1 ms");
    check(half_hours().cut(DurationMs::minutes(29), DurationMs(0)), "lay tumbling windows of 1740000 ms");
    check(half_hours().cut(DurationMs(0), DurationMs(0)), "lay tumbling windows");
    for long in [
        Sessions::gap(DurationMs(i64::MAX)),
        half_hours().grace(DurationMs(i64::MAX)),
        half_hours().cut(DurationMs(i64::MAX), DurationMs(0)),
    ] {
        check(long, "9 million years");
    }
}

#[test]
fn words_of_fingerprints_never_change() {
    let day = half_hours().grace(DurationMs(7)).cut(DurationMs(DAY), DurationMs(-1));
    assert_eq!(windows(half_hours()).to_string(), "sessions gap 1800000 ms, grace 0 ms, panes 225000 ms");
    assert_eq!(
        windows(day).to_string(),
        "sessions gap 1800000 ms, grace 7 ms, panes 225000 ms, cut every 86400000 ms at 86399999 ms"
    );
}

#[test]
fn a_record_is_late_when_the_stream_is_more_than_the_grace_ahead() {
    let windows = windows(half_hours().grace(DurationMs(1_000)));
    assert!(windows.place(EventTime(5_000), EventTime(6_000)).is_some());
    assert!(windows.place(EventTime(5_000), EventTime(6_001)).is_none());
    assert!(windows.place(EventTime(5_000), EventTime::MIN).is_some(), "what operators made is never late");
}

#[test]
fn a_pane_is_closed_when_nothing_can_reach_into_it() {
    let windows = windows(half_hours().grace(DurationMs::minutes(10)));
    // The first pane ends at 225 s; 40 minutes behind it nothing is taken in that lies within the gap of its end.
    let closes = 225_000 + 40 * MINUTE;
    assert_eq!(windows.open_from(EventTime(closes - 1)), 0);
    assert_eq!(windows.open_from(EventTime(closes)), 225_000);
    assert_eq!(windows.last_close(EventTime(closes)), EventTime(closes));
    assert_eq!(windows.last_close(EventTime(closes + 224_999)), EventTime(closes));
    assert_eq!((windows.open_from(EventTime::MIN), windows.last_close(EventTime::MIN)), (i64::MIN, EventTime::MIN));
}

#[test]
fn nothing_goes_on_across_a_cut() {
    let windows = windows(half_hours().cut(DurationMs(DAY), DurationMs::hours(1)));
    let cut = 60 * MINUTE;
    assert_eq!(windows.pane_of(EventTime(cut - 1)).end, EventTime(cut));
    assert_eq!(windows.pane_of(EventTime(cut)).start, EventTime(cut));
    assert_eq!(windows.reach(EventTime(cut - 1)), EventTime(cut - 1));
    assert_eq!(windows.reach(EventTime(cut)), EventTime(cut + 30 * MINUTE));
}

/// Some sessions, and a place in time: around 1970, or at either end of time.
fn anywhere() -> impl Strategy<Value = (SessionWindows, i64)> {
    let gap = prop_oneof![1..50_i64, Just(SPAN_MAX), 1_000..100_000_i64];
    let sessions = (gap, 0..60_i64, prop::option::of((0..80_i64, any::<i64>()))).prop_map(|(gap, grace, cut)| {
        let sessions = Sessions::gap(DurationMs(gap)).grace(DurationMs(grace));
        windows(match cut {
            Some((more, offset)) => sessions.cut(DurationMs((gap + more).min(SPAN_MAX)), DurationMs(offset)),
            None => sessions,
        })
    });
    let place = prop_oneof![
        -500..500_i64,
        any::<i64>(),
        (i64::MAX - 500)..=i64::MAX,
        i64::MIN..(i64::MIN + 500),
        (TIME_MAX.0 - 500)..(TIME_MAX.0 + 500),
        (-TIME_MAX.0 - 500)..(500 - TIME_MAX.0),
    ];
    (sessions, place)
}

proptest! {
    #[test]
    fn panes_tile_time_and_are_no_longer_than_the_gap((windows, at) in anywhere()) {
        let time = EventTime(clamped(EventTime(at)));
        let pane = windows.pane_of(EventTime(at));
        prop_assert!(pane.start <= time && time < pane.end);
        prop_assert!(pane.end.0 - pane.start.0 <= windows.gap);
        if pane.end <= TIME_MAX {
            prop_assert_eq!(windows.pane_of(pane.end).start, pane.end);
        }
        if let Some(cut) = windows.cut {
            let cell = |time: EventTime| (i128::from(time.0) - i128::from(cut.offset)).div_euclid(cut.length.into());
            prop_assert_eq!(cell(pane.start), cell(EventTime(pane.end.0 - 1)), "a cut is the end of a pane");
            prop_assert_eq!(cell(windows.reach(time)), cell(time), "nothing is reached across a cut");
        }
        prop_assert!(windows.reach(time) >= EventTime(pane.end.0 - 1), "a pane's events belong together");
        prop_assert!(windows.reach(time).0 <= time.0.saturating_add(windows.gap));
    }

    #[test]
    fn what_is_taken_in_reaches_no_closed_pane((windows, at) in anywhere(), ahead in -10..300_i64, back in 0..200_i64) {
        let watermark = EventTime(at);
        let open_from = windows.open_from(watermark);
        // The partition of a record is at the watermark or further.
        let stream_time = EventTime(at.saturating_add(ahead.max(0)));
        let record = EventTime(at.saturating_add(ahead).saturating_sub(back));
        if let Some(place) = windows.place(record, stream_time) {
            prop_assert!(place.pane >= open_from, "its own pane is open");
            prop_assert_eq!(place.first, place.pane);
            if open_from > -TIME_MAX.0 {
                let closed = windows.pane_of(EventTime(open_from - 1));
                let reach = windows.reach(EventTime(closed.end.0 - 1));
                prop_assert!(clamped(record) > reach.0, "it continues no run of a closed pane");
            }
        }
        prop_assert!(windows.last_close(watermark) <= watermark);
        prop_assert_eq!(windows.open_from(windows.last_close(watermark)), open_from);
    }
}
