//! Gates that can be waited at.

use std::{collections::BTreeMap, time::Duration};

use jiff::{
    civil::{Time, Weekday},
    tz::{TimeZone, TimeZoneDatabase},
};

use super::{checks::exactly_one, fault::Fault, problem::Problem};
use crate::api::{self, OnRefusal};

/// How often an endpoint is asked again before its refusal counts, where the policy doesn't say it.
const RETRIES: u32 = 3;
/// The pause before an endpoint is asked again for the first time, where the policy doesn't say it.
const BACKOFF: Duration = Duration::from_secs(5);

/// A gate.
#[derive(Clone, Debug, PartialEq)]
pub enum Gate {
    /// A person's: what to look at.
    Person(String),
    /// A time of the week.
    Window(Window),
    /// Another system's.
    Webhook(Webhook),
}

/// A time of the week.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Whether it opens on a day, Monday first.
    pub days: [bool; 7],
    /// When it opens.
    pub from: Time,
    /// When it shuts; midnight is the next one.
    pub to: Time,
    /// Where these times are read.
    pub zone: TimeZone,
}

/// Another system's gate.
#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    /// The endpoint in the operator's configuration.
    pub name: String,
    /// How many refusals don't count yet; none where it is asked again and again.
    pub retries: Option<u32>,
    /// The first pause before it is asked again.
    pub backoff: Duration,
    /// Sent along.
    pub metadata: BTreeMap<String, String>,
}

/// Reads a gate. What is wrong with it goes to `faults`; then there may be none.
pub(super) fn gate(gate: &api::Gate, path: &str, faults: &mut Vec<Fault>) -> Option<Gate> {
    let api::Gate { person, window: hours, webhook } = gate;
    let set = [person.is_some(), hours.is_some(), webhook.is_some()].into_iter().filter(|set| *set).count();
    if set != 1 {
        exactly_one(path, "person, window and webhook", set, faults);
        return None;
    }
    if let Some(person) = person {
        if person.message.trim().is_empty() {
            faults.push(Fault::of(format!("{path}.person.message"), &Problem::GateWithoutMessage));
        }
        return Some(Gate::Person(person.message.clone()));
    }
    if let Some(hours) = hours {
        return window(hours, &format!("{path}.window"), faults).map(Gate::Window);
    }
    webhook.as_ref().map(|hook| Gate::Webhook(asked(hook, &format!("{path}.webhook"), faults)))
}

fn window(hours: &api::Window, path: &str, faults: &mut Vec<Fault>) -> Option<Window> {
    let api::Window { days: named, from, to, zone } = hours;
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
    // The bundled ones alone: a policy means the same wherever it is read.
    let place = TimeZoneDatabase::bundled().get(zone).ok();
    if place.is_none() {
        faults.push(Fault::of(format!("{path}.zone"), &Problem::Zone(zone.clone())));
    }
    Some(Window { days, from: opens?, to: shuts?, zone: place? })
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// The first and last day that a text names.
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

/// Marks the days from the first to the last, on into the next week where need be.
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

/// A time as `HH:MM` and nothing else.
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
    if retries.is_some() && *on_refusal != OnRefusal::Fail {
        faults.push(Fault::of(format!("{path}.retries"), &Problem::RetriesWithoutFail));
    }
    let backoff = backoff.map_or(BACKOFF, |span| {
        if span.is_negative() || Duration::from(span).is_zero() {
            faults.push(Fault::of(format!("{path}.backoff"), &Problem::DeadlineZero));
        }
        span.into()
    });
    let retries = (*on_refusal == OnRefusal::Fail).then(|| retries.unwrap_or(RETRIES));
    Webhook { name: name.clone(), retries, backoff, metadata: metadata.clone() }
}

#[cfg(test)]
mod tests;
