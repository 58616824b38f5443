//! Valid gates, and the errors of invalid ones.

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
    let written = json!({"window": {"days": named, "from": "09:00", "to": "16:00", "timeZone": "UTC"}});
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
fn all_errors_of_a_window_are_reported_at_once_each_with_its_path() {
    let window =
        json!({"days": ["Mon", "Friday", "Mon-"], "from": "9:00", "to": "25:00", "timeZone": "Europe/Bern"});
    let faults = read(&json!({"window": window})).unwrap_err();
    let paths: Vec<_> = faults.iter().map(|fault| fault.split(": ").next().unwrap()).collect();
    assert_eq!(
        paths,
        ["g.window.days[1]", "g.window.days[2]", "g.window.from", "g.window.to", "g.window.timeZone"]
    );
    assert!(faults[4].contains("Europe/Bern"), "{faults:?}");
}

#[test]
fn a_window_of_no_length_is_refused_and_a_whole_day_is_not() {
    let window =
        |to: &str| json!({"window": {"days": ["Mon"], "from": "00:00", "to": to, "timeZone": "UTC"}});
    assert!(read(&window("00:00")).unwrap_err()[0].starts_with("g.window.to: "));
    assert!(read(&window("24:00")).is_ok());
}

#[test]
fn a_gate_is_one_thing_and_a_person_s_says_what_to_look_at() {
    assert_eq!(read(&json!({})).unwrap_err(), ["g: set exactly one of person, window and webhook; none is"]);
    let two = json!({"person": {"message": "look"}, "webhook": {"name": "a"}});
    assert_eq!(read(&two).unwrap_err(), ["g: set exactly one of person, window and webhook; 2 are"]);
    assert_eq!(
        read(&json!({"person": {"message": " "}})).unwrap_err(),
        ["g.person.message: must not be empty"]
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
    assert_eq!(retries(hook(&json!({"onRefusal": "RollBack"}))), Ok(Some(3)));
    assert_eq!(retries(hook(&json!({"onRefusal": "RollBack", "retries": 0}))), Ok(Some(0)));
    let refused = vec!["g.webhook.retries: retries requires onRefusal: RollBack".to_owned()];
    assert_eq!(retries(hook(&json!({"retries": 1}))), Err(refused));
}
