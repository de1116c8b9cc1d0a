//! Local windows against a clock that is read minute by minute.

use chrono::{Duration, Timelike, Utc};
use proptest::prelude::*;

use super::*;
use crate::window::Tumbling;

const BERLIN: Tz = Tz::Europe__Berlin;

fn utc(text: &str) -> i64 {
    text.parse::<DateTime<Utc>>().unwrap().timestamp_millis()
}

fn bounds(windows: impl Windowing, time: &str) -> (i64, i64) {
    let windows = windows.windows().unwrap();
    let window = windows.windows_of(EventTime(utc(time))).next().unwrap();
    assert_eq!(windows.pane_of(EventTime(utc(time))), window.into(), "a window is a pane");
    (window.start.0, window.end.0)
}

#[track_caller]
fn check(windows: impl Windowing, time: &str, from: &str, to: &str) {
    assert_eq!(bounds(windows, time), (utc(from), utc(to)), "{time}");
}

#[test]
fn a_day_in_which_the_clock_is_put_forward_has_23_hours() {
    let days = LocalDays::of(BERLIN);
    check(days, "2026-03-28T22:59:59.999Z", "2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z");
    check(days, "2026-03-28T23:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");
    check(days, "2026-03-29T21:59:59.999Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");
    check(days, "2026-03-29T22:00:00Z", "2026-03-29T22:00:00Z", "2026-03-30T22:00:00Z");
}

#[test]
fn a_day_in_which_it_is_put_back_has_25_and_its_repeated_hour_is_two() {
    check(LocalDays::of(BERLIN), "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z");
    let hours = LocalHours::of(BERLIN);
    check(hours, "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z");
    check(hours, "2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z");
    let day = LocalDays::of(BERLIN).windows().unwrap().pane_of(EventTime(utc("2026-10-25T12:00:00Z")));
    let hours = hours.windows().unwrap();
    let mut count = 0;
    let mut at = day.start;
    while at < day.end {
        at = hours.next_start(at);
        count += 1;
    }
    assert_eq!((count, at), (25, day.end));
}

#[test]
fn midnights_that_are_left_out_shown_twice_or_never_come() {
    // Brazil went from 00:00 to 01:00, so its day began at one.
    check(
        LocalDays::of(Tz::America__Sao_Paulo),
        "2018-11-04T12:00:00Z",
        "2018-11-04T03:00:00Z",
        "2018-11-05T02:00:00Z",
    );
    // Cuba goes from 01:00 back to 00:00, so midnight comes twice.
    check(LocalDays::of(Tz::America__Havana), "2025-11-02T12:00:00Z", "2025-11-02T04:00:00Z", "2025-11-03T05:00:00Z");
    // Newfoundland went from 00:01 back to 23:01 of the day before, which belongs to the new day.
    check(LocalDays::of(Tz::America__St_Johns), "2010-11-07T02:35:00Z", "2010-11-07T02:30:00Z", "2010-11-08T03:30:00Z");
    // Samoa left 30 December out.
    let samoa = LocalDays::of(Tz::Pacific__Apia);
    check(samoa, "2011-12-30T09:59:00Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z");
    check(samoa, "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z");
}

#[test]
fn half_hours_weeks_and_months() {
    check(LocalHours::of(Tz::Asia__Kolkata), "2026-01-01T00:00:00Z", "2025-12-31T23:30:00Z", "2026-01-01T00:30:00Z");
    // Lord Howe puts its clocks back by half an hour, from 02:00 to 01:30.
    let lord_howe = LocalHours::of(Tz::Australia__Lord_Howe);
    check(lord_howe, "2026-04-04T15:10:00Z", "2026-04-04T15:00:00Z", "2026-04-04T15:30:00Z");
    check(lord_howe, "2026-04-04T14:10:00Z", "2026-04-04T14:00:00Z", "2026-04-04T15:00:00Z");
    let weeks = LocalWeeks::of(BERLIN);
    check(weeks, "2026-03-29T12:00:00Z", "2026-03-22T23:00:00Z", "2026-03-29T22:00:00Z");
    check(weeks.starting_on(Weekday::Sun), "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-04-04T22:00:00Z");
    check(LocalMonths::of(BERLIN), "2024-02-29T22:59:00Z", "2024-01-31T23:00:00Z", "2024-02-29T23:00:00Z");
    check(LocalMonths::of(Tz::UTC), "1969-12-31T22:59:00Z", "1969-12-01T00:00:00Z", "1970-01-01T00:00:00Z");
}

#[test]
fn a_window_refuses_and_closes_at_the_same_moment() {
    let windows = LocalDays::of(BERLIN).grace(DurationMs::minutes(5)).windows().unwrap();
    let event = EventTime(utc("2026-10-25T12:00:00Z"));
    let start = EventTime(utc("2026-10-24T22:00:00Z"));
    let closes = EventTime(utc("2026-10-25T23:05:00Z"));
    let before = closes.minus(DurationMs(1));
    assert_eq!(windows.first_accepting(event, before), Some(start));
    assert_eq!(windows.closable_through(before), Some(EventTime(utc("2026-10-23T22:00:00Z"))));
    assert_eq!(windows.next_close_after(before), closes);
    assert_eq!(windows.first_accepting(event, closes), None);
    assert_eq!(windows.closable_through(closes), Some(start));
    assert_eq!(windows.previous_start(windows.next_start(start)), start);
}

#[test]
fn before_and_after_all_time() {
    for windows in [LocalHours::of(BERLIN).windows(), LocalMonths::of(Tz::Pacific__Apia).windows()] {
        let windows = windows.unwrap();
        let event = EventTime(5);
        for before in [i64::MIN, i64::MIN + 40, -LOCAL_MAX - 1] {
            assert_eq!(windows.closable_through(EventTime(before)), None);
        }
        assert_eq!(windows.first_accepting(event, EventTime::MIN), Some(windows.pane_of(event).start));
        assert_eq!(windows.first_accepting(event, EventTime::MAX), None);
        assert_eq!(windows.first_accepting(EventTime::MAX, EventTime::MAX), None);
        assert_eq!(windows.closable_through(EventTime::MAX), Some(windows.pane_of(EventTime::MAX).start));
        assert_eq!(windows.next_close_after(EventTime::MAX), EventTime::MAX);
    }
    let grace = |ms| LocalDays::of(BERLIN).grace(DurationMs(ms)).windows();
    assert_eq!(grace(-1), Err(WindowError::Grace(-1)));
    assert_eq!(grace(i64::MAX), Err(WindowError::TooLong(i64::MAX)));
}

const ZONES: [Tz; 14] = [
    BERLIN,
    Tz::America__New_York,
    Tz::America__Sao_Paulo,
    Tz::America__Havana,
    Tz::America__St_Johns,
    Tz::America__Santiago,
    Tz::Asia__Kathmandu,
    Tz::Asia__Beirut,
    Tz::Africa__Cairo,
    Tz::Africa__Casablanca,
    Tz::Australia__Lord_Howe,
    Tz::Pacific__Apia,
    Tz::Antarctica__Troll,
    Tz::UTC,
];

/// Since 1975 clocks are changed on whole minutes.
fn times() -> impl Strategy<Value = (Tz, i64)> {
    let near_midnight = (1_826..32_000i64, -90..90i64).prop_map(|(day, minutes)| day * DAY + minutes * 60_000);
    let time = prop_oneof![1_826 * DAY..32_000 * DAY, near_midnight];
    (prop::sample::select(&ZONES[..]), time)
}

/// What the clock shows, by chrono.
fn shown(zone: Tz, minute: i64) -> DateTime<Tz> {
    zone.from_utc_datetime(&DateTime::from_timestamp(minute * 60, 0).unwrap().naive_utc())
}

/// The first minute at which the clock shows a date as late as this.
fn first_minute(zone: Tz, date: NaiveDate) -> i64 {
    let noon_two_days_before = (date - Duration::days(2)).and_hms_opt(12, 0, 0).unwrap().and_utc().timestamp() / 60;
    (noon_two_days_before..).find(|minute| shown(zone, *minute).date_naive() >= date).unwrap()
}

/// The one of these beginnings that is the last at or before `time`, and the one after.
fn around(beginnings: impl IntoIterator<Item = i64>, time: i64) -> (i64, i64) {
    let (mut start, mut end) = (i64::MIN, i64::MAX);
    for beginning in beginnings.into_iter().map(|minute| minute * 60_000) {
        if beginning <= time {
            start = start.max(beginning);
        } else {
            end = end.min(beginning);
        }
    }
    (start, end)
}

proptest! {
    #[test]
    fn days_begin_when_the_clock_first_shows_them((zone, time) in times()) {
        let date = shown(zone, time / 60_000).date_naive();
        let beginnings = (-2..=3).map(|days| first_minute(zone, date + Duration::days(days)));
        let window = LocalDays::of(zone).0.window_of(EventTime(time));
        prop_assert_eq!((window.start.0, window.end.0), around(beginnings, time), "{} {}", zone, date);
    }

    #[test]
    fn weeks_and_months_begin_with_their_first_day((zone, time) in times()) {
        let date = shown(zone, time / 60_000).date_naive();
        let days = || (-33..=33).map(|days| date + Duration::days(days));
        let firsts = days().filter(|day| day.day() == 1).map(|day| first_minute(zone, day));
        let month = LocalMonths::of(zone).0.window_of(EventTime(time));
        prop_assert_eq!((month.start.0, month.end.0), around(firsts, time), "{} {}", zone, date);
        let mondays = days().filter(|day| day.weekday() == Weekday::Mon).map(|day| first_minute(zone, day));
        let week = LocalWeeks::of(zone).0.window_of(EventTime(time));
        prop_assert_eq!((week.start.0, week.end.0), around(mondays, time), "{} {}", zone, date);
    }

    #[test]
    fn hours_begin_at_full_hours_and_where_the_clock_is_changed((zone, time) in times()) {
        let minute = time / 60_000;
        let begins = |minute: &i64| {
            let (before, now) = (shown(zone, minute - 1), shown(zone, *minute));
            now.minute() == 0 || before.offset().fix() != now.offset().fix()
        };
        let start = (minute - 70..=minute).rev().find(begins).unwrap();
        let end = (minute + 1..).find(begins).unwrap();
        let window = LocalHours::of(zone).0.window_of(EventTime(time));
        prop_assert_eq!((window.start.0, window.end.0), (start * 60_000, end * 60_000), "{}", zone);
    }

    #[test]
    fn windows_are_side_by_side_at_any_time(
        zone in prop::sample::select(&ZONES[..]), unit in 0..4, time in any::<i64>(), later in any::<i64>(),
    ) {
        let unit = [Unit::Hour, Unit::Day, Unit::Week { from: Weekday::Wed }, Unit::Month][unit as usize];
        let windows = Windows(crate::window::Kind::Calendar(Calendar { zone, unit, grace: 1_000 }));
        // Half of them where calendars are.
        for time in [time, time >> 12].map(EventTime) {
            let window = windows.windows_of(time).next().unwrap();
            let at = time.0.clamp(-LOCAL_MAX, LOCAL_MAX);
            prop_assert!(window.start.0 <= at && at < window.end.0);
            prop_assert!(window.end.0 - window.start.0 <= windows.size().0);
            if time.0.abs() < LOCAL_MAX - windows.size().0 {
                let (next, previous) = (windows.next_start(window.start), windows.previous_start(window.start));
                prop_assert_eq!(next, window.end);
                prop_assert_eq!(windows.window_at(previous).end, window.start);
                prop_assert_eq!(windows.panes_of(window.start).collect::<Vec<_>>(), [window.into()]);
            }
            let closed = windows.closable_through(EventTime(later));
            if let Some(start) = closed {
                prop_assert!(windows.close_of(windows.window_at(start)).0 <= later);
            }
            prop_assert!(windows.next_close_after(EventTime(later)).0 > later || later == i64::MAX);
        }
    }

    #[test]
    fn in_utc_they_are_those_of_one_size(time in -LOCAL_MAX / 2..LOCAL_MAX / 2) {
        let hours = Tumbling::hours(1).windows().unwrap();
        let days = Tumbling::hours(24).windows().unwrap();
        for (local, even) in [(LocalHours::of(Tz::UTC).windows(), hours), (LocalDays::of(Tz::UTC).windows(), days)] {
            let local = local.unwrap();
            prop_assert_eq!(local.pane_of(EventTime(time)), even.pane_of(EventTime(time)));
            prop_assert_eq!(local.closable_through(EventTime(time)), even.closable_through(EventTime(time)));
            prop_assert_eq!(local.next_close_after(EventTime(time)), even.next_close_after(EventTime(time)));
        }
    }
}
