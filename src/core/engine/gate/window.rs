//! Whether a time of the week has come, and when it will.

use jiff::{
    Timestamp, ToSpan as _,
    civil::{Date, Time},
    tz::{AmbiguousOffset, TimeZone},
};

use crate::policy::gate::Window;

/// How far ahead an opening is looked for: each weekday comes often enough to have an hour that no clock skips.
const AHEAD: i32 = 35;

/// A window at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// It is open.
    Open,
    /// It is shut, and opens then.
    Shut(Timestamp),
}

/// Whether a window is open at this moment.
///
/// It is open from when its zone's clock first shows `from` on one of its days until it first shows `to`. A time that the
/// clock skips counts as shown at the moment of the skip: a window that lies within what is skipped doesn't open that day.
pub(super) fn at(window: &Window, now: Timestamp) -> Door {
    let today = now.to_zoned(window.zone.clone()).date();
    let mut opens = Timestamp::MAX;
    // Of the days before today only yesterday's may still be open: none is longer than a day.
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

/// The window that begins on this day, if one does.
fn on(window: &Window, day: Date) -> Option<(Timestamp, Timestamp)> {
    let weekday = usize::try_from(day.weekday().to_monday_zero_offset()).ok()?;
    let begins = *window.days.get(weekday)?;
    let last = if window.to <= window.from { day.tomorrow().ok()? } else { day };
    let from = shown(&window.zone, day, window.from).filter(|_| begins)?;
    Some((from, shown(&window.zone, last, window.to)?))
}

/// When the zone's clock first shows this time or a later one.
fn shown(zone: &TimeZone, day: Date, time: Time) -> Option<Timestamp> {
    let clock = day.to_datetime(time);
    let moment = zone.to_ambiguous_timestamp(clock);
    match moment.offset() {
        AmbiguousOffset::Gap { after, .. } => {
            // Read by the clock of after the skip it lies before the skip.
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

    /// What the window is at a moment: `open`, or when it opens.
    #[track_caller]
    fn is(window: &Window, now: &str, wanted: &str) {
        let door = match at(window, now.parse().unwrap()) {
            Door::Open => "open".to_owned(),
            Door::Shut(opens) => opens.to_string(),
        };
        assert_eq!(door, wanted, "at {now}");
    }

    #[test]
    fn working_hours_open_in_their_own_zone_and_shut_to_the_second() {
        // November 2026: the 23rd is a Monday, and Berlin is an hour ahead.
        let hours = window(&WORK, "09:00", "16:00", "Europe/Berlin");
        is(&hours, "2026-11-23T07:59:59Z", "2026-11-23T08:00:00Z");
        is(&hours, "2026-11-23T08:00:00Z", "open");
        is(&hours, "2026-11-23T14:59:59Z", "open");
        is(&hours, "2026-11-23T15:00:00Z", "2026-11-24T08:00:00Z");
    }

    #[test]
    fn a_window_that_began_hours_ago_is_open_still() {
        let hours = window(&[Monday], "00:00", "00:00", "UTC");
        is(&hours, "2026-11-23T23:59:59Z", "open");
        is(&hours, "2026-11-24T00:00:00Z", "2026-11-30T00:00:00Z");
    }

    #[test]
    fn after_friday_comes_monday_and_after_the_only_day_the_next_week_s() {
        is(&window(&WORK, "09:00", "16:00", "UTC"), "2026-11-27T16:00:00Z", "2026-11-30T09:00:00Z");
        is(&window(&[Wednesday], "09:00", "16:00", "UTC"), "2026-11-25T16:00:00Z", "2026-12-02T09:00:00Z");
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_it_begins_on() {
        let night = window(&[Friday], "22:00", "02:00", "UTC");
        is(&night, "2026-11-27T21:59:00Z", "2026-11-27T22:00:00Z");
        is(&night, "2026-11-27T22:00:00Z", "open");
        is(&night, "2026-11-28T01:59:59Z", "open");
        is(&night, "2026-11-28T02:00:00Z", "2026-12-04T22:00:00Z");
        // The early hours of Friday are Thursday's.
        is(&night, "2026-11-27T01:00:00Z", "2026-11-27T22:00:00Z");
    }

    #[test]
    fn days_that_touch_at_midnight_leave_no_gap() {
        let weekend = window(&[Saturday, Sunday], "00:00", "00:00", "UTC");
        is(&weekend, "2026-11-28T23:59:59Z", "open");
        is(&weekend, "2026-11-29T00:00:00Z", "open");
        is(&weekend, "2026-11-30T00:00:00Z", "2026-12-05T00:00:00Z");
    }

    #[test]
    fn the_day_is_that_of_the_zone_and_not_of_utc() {
        // Auckland is thirteen hours ahead: its Monday begins on Sunday noon.
        let hours = window(&[Monday], "08:00", "10:00", "Pacific/Auckland");
        is(&hours, "2026-11-22T18:59:59Z", "2026-11-22T19:00:00Z");
        is(&hours, "2026-11-22T19:30:00Z", "open");
        is(&hours, "2026-11-23T08:30:00Z", "2026-11-29T19:00:00Z");
    }

    #[test]
    fn the_same_hours_come_an_hour_earlier_in_summer() {
        let hours = window(&WORK, "09:00", "16:00", "Europe/Berlin");
        // The clocks change in the night to Sunday, 29 March 2026.
        is(&hours, "2026-03-27T15:00:00Z", "2026-03-30T07:00:00Z");
        is(&hours, "2026-10-23T14:00:00Z", "2026-10-26T08:00:00Z");
    }

    #[test]
    fn a_beginning_that_the_clock_skips_is_the_moment_of_the_skip() {
        // At 01:00 UTC Berlin's clock goes from 02:00 to 03:00.
        let hours = window(&[Sunday], "02:30", "04:00", "Europe/Berlin");
        is(&hours, "2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z");
        is(&hours, "2026-03-29T01:00:00Z", "open");
        is(&hours, "2026-03-29T02:00:00Z", "2026-04-05T00:30:00Z");
    }

    #[test]
    fn an_end_that_the_clock_skips_is_the_moment_of_the_skip() {
        let hours = window(&[Sunday], "01:00", "02:30", "Europe/Berlin");
        is(&hours, "2026-03-29T00:59:59Z", "open");
        is(&hours, "2026-03-29T01:00:00Z", "2026-04-04T23:00:00Z");
    }

    #[test]
    fn a_window_within_what_the_clock_skips_opens_on_its_next_day() {
        let hours = window(&[Sunday], "02:10", "02:50", "Europe/Berlin");
        is(&hours, "2026-03-29T00:59:59Z", "2026-04-05T00:10:00Z");
        is(&hours, "2026-03-29T01:00:00Z", "2026-04-05T00:10:00Z");
    }

    #[test]
    fn what_the_clock_shows_twice_counts_the_first_time() {
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
    fn midnight_itself_may_be_skipped_or_shown_twice() {
        // Cairo's clock goes from 00:00 to 01:00 on Friday, 24 April 2026, and from 24:00 back to 23:00 on Thursday, 29 October.
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
    fn at_no_hour_of_two_years_is_an_opening_in_the_past_or_a_shut_moment_at_its_opening() {
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
