//! Compiled gates.

use std::{collections::BTreeMap, time::Duration};

use jiff::{
    civil::{Time, Weekday},
    tz::{TimeZone, TimeZoneDatabase},
};

use super::{checks::exactly_one, fault::Fault, problem::Problem};
use crate::api::{self, OnRefusal};

/// The default of `retries`.
const RETRIES: u32 = 3;
/// The default of `backoff`.
const BACKOFF: Duration = Duration::from_secs(5);

/// A gate.
#[derive(Clone, Debug, PartialEq)]
pub enum Gate {
    /// A person opens it after checking this.
    Person(String),
    /// A time window opens it.
    Window(Window),
    /// A webhook opens it.
    Webhook(Webhook),
}

/// A time window of the week.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Whether it opens on each day, Monday first.
    pub days: [bool; 7],
    /// When it opens.
    pub from: Time,
    /// When it closes; midnight is the end of the day.
    pub to: Time,
    /// The time zone of these times.
    pub zone: TimeZone,
}

/// A gate that a webhook opens.
#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    /// The name of the endpoint in the configuration of the controller.
    pub name: String,
    /// The number of calls after the first refusal before the rollout is rolled back; `None` for no
    /// limit.
    pub retries: Option<u32>,
    /// The time before the second call.
    pub backoff: Duration,
    /// Data to send with each call.
    pub metadata: BTreeMap<String, String>,
}

/// Compiles a gate, and adds its errors to `faults`.
pub(super) fn gate(gate: &api::Gate, path: &str, faults: &mut Vec<Fault>) -> Option<Gate> {
    let api::Gate { person, window: hours, webhook } = gate;
    let set = [person.is_some(), hours.is_some(), webhook.is_some()].into_iter().filter(|set| *set).count();
    if set != 1 {
        exactly_one(path, "person, window and webhook", set, faults);
        return None;
    }
    if let Some(person) = person {
        if person.message.trim().is_empty() {
            faults.push(Fault::of(format!("{path}.person.message"), &Problem::EmptyField));
        }
        return Some(Gate::Person(person.message.clone()));
    }
    if let Some(hours) = hours {
        return window(hours, &format!("{path}.window"), faults).map(Gate::Window);
    }
    webhook.as_ref().map(|hook| Gate::Webhook(asked(hook, &format!("{path}.webhook"), faults)))
}

fn window(hours: &api::Window, path: &str, faults: &mut Vec<Fault>) -> Option<Window> {
    let api::Window { days: named, from, to, time_zone } = hours;
    let mut days = [false; 7];
    if named.is_empty() {
        faults.push(Fault::of(format!("{path}.days"), &Problem::NoDays));
    }
    for (index, text) in named.iter().enumerate() {
        if let Some((first, last)) = range(text) {
            mark(&mut days, first, last);
            continue;
        }
        faults.push(Fault::of(format!("{path}.days[{index}]"), &Problem::Day(text.clone())));
    }
    let opens = clock(from);
    if opens.is_none() {
        faults.push(Fault::of(format!("{path}.from"), &Problem::From(from.clone())));
    }
    let shuts = if to == "24:00" { Some(Time::midnight()) } else { clock(to) };
    if shuts.is_none() {
        faults.push(Fault::of(format!("{path}.to"), &Problem::To(to.clone())));
    }
    if opens.is_some() && from == to {
        faults.push(Fault::of(format!("{path}.to"), &Problem::EmptyWindow));
    }
    // Only the bundled time zones: a policy has the same meaning on every machine.
    let zone = TimeZoneDatabase::bundled().get(time_zone).ok();
    if zone.is_none() {
        faults.push(Fault::of(format!("{path}.timeZone"), &Problem::TimeZone(time_zone.clone())));
    }
    Some(Window { days, from: opens?, to: shuts?, zone: zone? })
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Returns the first and the last day of a range.
fn range(text: &str) -> Option<(Weekday, Weekday)> {
    let day = |text: &str| {
        let at = DAYS.iter().position(|day| *day == text)?;
        Weekday::from_monday_zero_offset(i8::try_from(at).ok()?).ok()
    };
    match text.split_once('-') {
        Some((first, last)) => Some((day(first)?, day(last)?)),
        None => day(text).map(|day| (day, day)),
    }
}

/// Marks the days from the first to the last, across the end of the week if necessary.
fn mark(days: &mut [bool; 7], first: Weekday, last: Weekday) {
    let mut day = first;
    loop {
        if let Some(marked) =
            usize::try_from(day.to_monday_zero_offset()).ok().and_then(|at| days.get_mut(at))
        {
            *marked = true;
        }
        if day == last {
            return;
        }
        day = day.next();
    }
}

/// Parses a time of the form `HH:MM`.
fn clock(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits)
    };
    Time::new(number(hour)?, number(minute)?, 0, 0).ok()
}

fn asked(hook: &api::Webhook, path: &str, faults: &mut Vec<Fault>) -> Webhook {
    let api::Webhook { name, on_refusal, retries, backoff, metadata } = hook;
    if name.is_empty() {
        faults.push(Fault::of(format!("{path}.name"), &Problem::NoWebhook));
    }
    if retries.is_some() && *on_refusal != OnRefusal::RollBack {
        faults.push(Fault::of(format!("{path}.retries"), &Problem::RetriesWithoutRollBack));
    }
    let backoff = backoff.map_or(BACKOFF, |span| {
        if span.is_negative() || Duration::from(span).is_zero() {
            faults.push(Fault::of(format!("{path}.backoff"), &Problem::DeadlineZero));
        }
        span.into()
    });
    let retries = (*on_refusal == OnRefusal::RollBack).then(|| retries.unwrap_or(RETRIES));
    Webhook { name: name.clone(), retries, backoff, metadata: metadata.clone() }
}

#[cfg(test)]
mod tests;
