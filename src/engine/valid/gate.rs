//! Gates that can be waited at.

use std::{collections::BTreeMap, time::Duration};

use jiff::{
    civil::{Time, Weekday},
    tz::{TimeZone, TimeZoneDatabase},
};

use super::policy::exactly_one;
use crate::{
    api::{self, OnRefusal},
    check::{Fault, Sort},
};

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
            let why = "must say what to look at";
            faults.push(Fault::new(Sort::Missing, format!("{path}.person.message"), why));
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
        faults.push(Fault::new(Sort::Missing, format!("{path}.days"), "name at least one day"));
    }
    for (index, text) in named.iter().enumerate() {
        if let Some((first, last)) = range(text) {
            mark(&mut days, first, last);
            continue;
        }
        let all = DAYS.join(", ");
        let why = format!("must be one of {all}, or a range of two such as Mon-Fri, not {text:?}");
        faults.push(Fault::invalid(format!("{path}.days[{index}]"), why));
    }
    let opens = clock(from);
    if opens.is_none() {
        let why = format!("must be a time of the day, HH:MM, in quotes, not {from:?}");
        faults.push(Fault::invalid(format!("{path}.from"), why));
    }
    let shuts = if to == "24:00" { Some(Time::midnight()) } else { clock(to) };
    if shuts.is_none() {
        let why = format!("must be a time of the day, HH:MM or 24:00, in quotes, not {to:?}");
        faults.push(Fault::invalid(format!("{path}.to"), why));
    }
    if opens.is_some() && from == to {
        let why = "from and to must differ; a whole day is from 00:00 to 24:00";
        faults.push(Fault::invalid(format!("{path}.to"), why));
    }
    // The bundled ones alone: a policy means the same wherever it is read.
    let place = TimeZoneDatabase::bundled().get(zone).ok();
    if place.is_none() {
        let why = format!("{zone:?} is no IANA time zone, such as Europe/Berlin or UTC");
        faults.push(Fault::invalid(format!("{path}.zone"), why));
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
        let why = "must name an endpoint of the operator's configuration";
        faults.push(Fault::new(Sort::Missing, format!("{path}.name"), why));
    }
    if retries.is_some() && *on_refusal != OnRefusal::Fail {
        faults.push(Fault::invalid(format!("{path}.retries"), "retries go with onRefusal: fail"));
    }
    let backoff = backoff.map_or(BACKOFF, |span| {
        if span.is_negative() || Duration::from(span).is_zero() {
            faults.push(Fault::invalid(format!("{path}.backoff"), "must be longer than nothing"));
        }
        span.into()
    });
    let retries = (*on_refusal == OnRefusal::Fail).then(|| retries.unwrap_or(RETRIES));
    Webhook { name: name.clone(), retries, backoff, metadata: metadata.clone() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(written: &Value) -> Result<Gate, Vec<String>> {
        let written: api::Gate = serde_json::from_value(written.clone()).unwrap();
        let mut faults = Vec::new();
        let read = gate(&written, "g", &mut faults);
        let told = faults.iter().map(|fault| format!("{}: {}", fault.path, fault.message)).collect();
        read.filter(|_| faults.is_empty()).ok_or(told)
    }

    fn days(named: &Value) -> [u8; 7] {
        let written = json!({"window": {"days": named, "from": "09:00", "to": "16:00", "zone": "UTC"}});
        let Ok(Gate::Window(window)) = read(&written) else { panic!("a window") };
        window.days.map(u8::from)
    }

    #[test]
    fn days_are_single_ones_lists_and_ranges_that_may_go_over_the_weekend() {
        assert_eq!(days(&json!(["Sat"])), [0, 0, 0, 0, 0, 1, 0]);
        assert_eq!(days(&json!(["Mon-Fri"])), [1, 1, 1, 1, 1, 0, 0]);
        assert_eq!(days(&json!(["Fri-Mon", "Wed"])), [1, 0, 1, 0, 1, 1, 1]);
        assert_eq!(days(&json!(["Mon-Sun"])), [1; 7]);
    }

    #[test]
    fn all_that_is_wrong_with_a_window_is_told_at_once_each_with_its_path() {
        let window =
            json!({"days": ["Mon", "Friday", "Mon-"], "from": "9:00", "to": "25:00", "zone": "Europe/Bern"});
        let faults = read(&json!({"window": window})).unwrap_err();
        let paths: Vec<_> = faults.iter().map(|fault| fault.split(": ").next().unwrap()).collect();
        assert_eq!(
            paths,
            ["g.window.days[1]", "g.window.days[2]", "g.window.from", "g.window.to", "g.window.zone"]
        );
        assert!(faults[4].contains("Europe/Bern"), "{faults:?}");
    }

    #[test]
    fn a_window_of_no_length_is_refused_and_a_whole_day_is_not() {
        let window =
            |to: &str| json!({"window": {"days": ["Mon"], "from": "00:00", "to": to, "zone": "UTC"}});
        assert!(read(&window("00:00")).unwrap_err()[0].starts_with("g.window.to: "));
        assert!(read(&window("24:00")).is_ok());
    }

    #[test]
    fn a_gate_is_one_thing_and_a_person_s_says_what_to_look_at() {
        assert_eq!(
            read(&json!({})).unwrap_err(),
            ["g: set exactly one of person, window and webhook; none is"]
        );
        let two = json!({"person": {"message": "look"}, "webhook": {"name": "a"}});
        assert_eq!(read(&two).unwrap_err(), ["g: set exactly one of person, window and webhook; 2 are"]);
        assert_eq!(
            read(&json!({"person": {"message": " "}})).unwrap_err(),
            ["g.person.message: must say what to look at"]
        );
    }

    #[test]
    fn a_webhook_that_waits_has_no_retries() {
        let hook = |more: &Value| {
            let mut hook = json!({"name": "desk"});
            hook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            read(&json!({"webhook": hook}))
        };
        let retries = |gate: Result<Gate, Vec<String>>| match gate {
            Ok(Gate::Webhook(hook)) => Ok(hook.retries),
            Ok(other) => panic!("{other:?}"),
            Err(faults) => Err(faults),
        };
        assert_eq!(retries(hook(&json!({}))), Ok(None));
        assert_eq!(retries(hook(&json!({"onRefusal": "fail"}))), Ok(Some(3)));
        assert_eq!(retries(hook(&json!({"onRefusal": "fail", "retries": 0}))), Ok(Some(0)));
        let refused = vec!["g.webhook.retries: retries go with onRefusal: fail".to_owned()];
        assert_eq!(retries(hook(&json!({"retries": 1}))), Err(refused));
    }
}
