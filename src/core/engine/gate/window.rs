//! Time windows: whether a window is open, and when it opens.

use jiff::{
    Timestamp, ToSpan as _,
    civil::{Date, Time},
    tz::{AmbiguousOffset, TimeZone},
};

use crate::policy::gate::Window;

/// How many days ahead an opening is searched: each weekday occurs often enough to have a day on
/// which no clock change skips the time.
const AHEAD: i32 = 35;

/// The state of a window at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// It is open.
    Open,
    /// It is closed, and opens at this time.
    Shut(Timestamp),
}

/// Returns whether a window is open at this time.
///
/// It is open from when the clock of its time zone first shows `from` on one of its days until it
/// first shows `to`. A time that a clock change skips counts as shown at the change: a window that
/// is skipped completely does not open on that day.
pub(super) fn at(window: &Window, now: Timestamp) -> Door {
    let today = now.to_zoned(window.zone.clone()).date();
    let mut opens = Timestamp::MAX;
    // Of the earlier days, only yesterday's window may still be open: none is longer than a day.
    for ahead in -1..=AHEAD {
        let Ok(day) = today.checked_add(ahead.days()) else { break };
        let Some((from, to)) = on(window, day) else { continue };
        if from <= now && now < to {
            return Door::Open;
        }
        if now < from && from < to {
            opens = from;
            break;
        }
    }
    Door::Shut(opens)
}

/// Returns the window that starts on this day, if any.
fn on(window: &Window, day: Date) -> Option<(Timestamp, Timestamp)> {
    let weekday = usize::try_from(day.weekday().to_monday_zero_offset()).ok()?;
    let begins = *window.days.get(weekday)?;
    let last = if window.to <= window.from { day.tomorrow().ok()? } else { day };
    let from = shown(&window.zone, day, window.from).filter(|_| begins)?;
    Some((from, shown(&window.zone, last, window.to)?))
}

/// Returns when the clock of the time zone first shows this time or a later one.
fn shown(zone: &TimeZone, day: Date, time: Time) -> Option<Timestamp> {
    let clock = day.to_datetime(time);
    let moment = zone.to_ambiguous_timestamp(clock);
    match moment.offset() {
        AmbiguousOffset::Gap { after, .. } => {
            // With the offset after the clock change, this time is before the change.
            let before = after.to_timestamp(clock).ok()?;
            zone.following(before).next().map(|skip| skip.timestamp())
        }
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => moment.earlier().ok(),
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::Weekday::{self, Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
    use jiff::tz::TimeZoneDatabase;

    use super::*;

    const WORK: [Weekday; 5] = [Monday, Tuesday, Wednesday, Thursday, Friday];

    fn time(text: &str) -> Time {
        text.parse().unwrap()
    }

    fn window(days: &[Weekday], from: &str, to: &str, zone: &str) -> Window {
        let mut named = [false; 7];
        for day in days {
            named[usize::try_from(day.to_monday_zero_offset()).unwrap()] = true;
        }
        let zone = TimeZoneDatabase::bundled().get(zone).unwrap();
        Window { days: named, from: time(from), to: time(to), zone }
    }

    /// Asserts the state of the window at a time: `open`, or when it opens.
    #[track_caller]
    fn is(window: &Window, now: &str, wanted: &str) {
        let door = match at(window, now.parse().unwrap()) {
            Door::Open => "open".to_owned(),
            Door::Shut(opens) => opens.to_string(),
        };
        assert_eq!(door, wanted, "at {now}");
    }

    #[test]
    fn working_hours_open_and_close_to_the_second_in_their_time_zone() {
        // November 2026: the 23rd is a Monday, and Berlin is an hour ahead.
        let hours = window(&WORK, "09:00", "16:00", "Europe/Berlin");
        is(&hours, "2026-11-23T07:59:59Z", "2026-11-23T08:00:00Z");
        is(&hours, "2026-11-23T08:00:00Z", "open");
        is(&hours, "2026-11-23T14:59:59Z", "open");
        is(&hours, "2026-11-23T15:00:00Z", "2026-11-24T08:00:00Z");
    }

    #[test]
    fn a_window_that_started_hours_ago_is_still_open() {
        let hours = window(&[Monday], "00:00", "00:00", "UTC");
        is(&hours, "2026-11-23T23:59:59Z", "open");
        is(&hours, "2026-11-24T00:00:00Z", "2026-11-30T00:00:00Z");
    }

    #[test]
    fn the_next_opening_is_on_the_next_listed_day() {
        is(&window(&WORK, "09:00", "16:00", "UTC"), "2026-11-27T16:00:00Z", "2026-11-30T09:00:00Z");
        is(&window(&[Wednesday], "09:00", "16:00", "UTC"), "2026-11-25T16:00:00Z", "2026-12-02T09:00:00Z");
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_it_starts_on() {
        let night = window(&[Friday], "22:00", "02:00", "UTC");
        is(&night, "2026-11-27T21:59:00Z", "2026-11-27T22:00:00Z");
        is(&night, "2026-11-27T22:00:00Z", "open");
        is(&night, "2026-11-28T01:59:59Z", "open");
        is(&night, "2026-11-28T02:00:00Z", "2026-12-04T22:00:00Z");
        // The early hours of Friday belong to Thursday's window.
        is(&night, "2026-11-27T01:00:00Z", "2026-11-27T22:00:00Z");
    }

    #[test]
    fn consecutive_days_leave_no_gap_at_midnight() {
        let weekend = window(&[Saturday, Sunday], "00:00", "00:00", "UTC");
        is(&weekend, "2026-11-28T23:59:59Z", "open");
        is(&weekend, "2026-11-29T00:00:00Z", "open");
        is(&weekend, "2026-11-30T00:00:00Z", "2026-12-05T00:00:00Z");
    }

    #[test]
    fn the_day_is_the_day_in_the_time_zone_not_in_utc() {
        // Auckland is thirteen hours ahead: its Monday begins on Sunday noon.
        let hours = window(&[Monday], "08:00", "10:00", "Pacific/Auckland");
        is(&hours, "2026-11-22T18:59:59Z", "2026-11-22T19:00:00Z");
        is(&hours, "2026-11-22T19:30:00Z", "open");
        is(&hours, "2026-11-23T08:30:00Z", "2026-11-29T19:00:00Z");
    }

    #[test]
    fn the_same_hours_are_an_hour_earlier_in_utc_in_summer() {
        let hours = window(&WORK, "09:00", "16:00", "Europe/Berlin");
        // The clocks change in the night to Sunday, 29 March 2026.
        is(&hours, "2026-03-27T15:00:00Z", "2026-03-30T07:00:00Z");
        is(&hours, "2026-10-23T14:00:00Z", "2026-10-26T08:00:00Z");
    }

    #[test]
    fn a_skipped_start_is_at_the_clock_change() {
        // At 01:00 UTC Berlin's clock goes from 02:00 to 03:00.
        let hours = window(&[Sunday], "02:30", "04:00", "Europe/Berlin");
        is(&hours, "2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z");
        is(&hours, "2026-03-29T01:00:00Z", "open");
        is(&hours, "2026-03-29T02:00:00Z", "2026-04-05T00:30:00Z");
    }

    #[test]
    fn a_skipped_end_is_at_the_clock_change() {
        let hours = window(&[Sunday], "01:00", "02:30", "Europe/Berlin");
        is(&hours, "2026-03-29T00:59:59Z", "open");
        is(&hours, "2026-03-29T01:00:00Z", "2026-04-04T23:00:00Z");
    }

    #[test]
    fn a_completely_skipped_window_opens_on_its_next_day() {
        let hours = window(&[Sunday], "02:10", "02:50", "Europe/Berlin");
        is(&hours, "2026-03-29T00:59:59Z", "2026-04-05T00:10:00Z");
        is(&hours, "2026-03-29T01:00:00Z", "2026-04-05T00:10:00Z");
    }

    #[test]
    fn a_repeated_time_counts_the_first_time() {
        // At 01:00 UTC on 25 October 2026 Berlin's clock goes from 03:00 back to 02:00.
        let hours = window(&[Sunday], "02:15", "02:45", "Europe/Berlin");
        is(&hours, "2026-10-25T00:15:00Z", "open");
        is(&hours, "2026-10-25T00:45:00Z", "2026-11-01T01:15:00Z");
        is(&hours, "2026-10-25T01:30:00Z", "2026-11-01T01:15:00Z");
    }

    #[test]
    fn a_night_lasts_an_hour_longer_or_shorter_when_the_clock_changes() {
        let night = window(&[Saturday], "22:00", "06:00", "Europe/Berlin");
        is(&night, "2026-10-24T20:00:00Z", "open");
        is(&night, "2026-10-25T04:59:59Z", "open");
        is(&night, "2026-10-25T05:00:00Z", "2026-10-31T21:00:00Z");
        is(&night, "2026-03-28T21:00:00Z", "open");
        is(&night, "2026-03-29T04:00:00Z", "2026-04-04T20:00:00Z");
    }

    #[test]
    fn midnight_can_be_skipped_or_repeated() {
        // Cairo's clock goes from 00:00 to 01:00 on Friday, 24 April 2026, and from 24:00 back to
        // 23:00 on Thursday, 29 October.
        let friday = window(&[Friday], "00:00", "02:00", "Africa/Cairo");
        is(&friday, "2026-04-23T21:59:59Z", "2026-04-23T22:00:00Z");
        is(&friday, "2026-04-23T22:30:00Z", "open");
        is(&friday, "2026-04-23T23:00:00Z", "2026-04-30T21:00:00Z");
        let thursday = window(&[Thursday], "22:00", "00:00", "Africa/Cairo");
        is(&thursday, "2026-10-29T19:00:00Z", "open");
        is(&thursday, "2026-10-29T21:59:59Z", "open");
        is(&thursday, "2026-10-29T22:00:00Z", "2026-11-05T20:00:00Z");
    }

    #[test]
    fn for_two_years_each_next_opening_is_in_the_future_and_open() {
        for (days, from, to, zone) in [
            (&WORK[..], "09:00", "16:00", "America/New_York"),
            (&[Tuesday, Sunday], "23:30", "02:30", "America/Santiago"),
            (&[Sunday], "02:00", "02:30", "Australia/Lord_Howe"),
        ] {
            let window = window(days, from, to, zone);
            let mut now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
            for _ in 0..2 * 365 * 24 {
                if let Door::Shut(opens) = at(&window, now) {
                    assert!(opens > now && opens < now + (24 * 15).hours(), "{zone}: {now} {opens}");
                    assert_eq!(at(&window, opens), Door::Open, "{zone}: {opens}");
                }
                now += 1.hour();
            }
        }
    }
}
