//! Names that policies used to have, and names of features that are planned: for clear errors only.

/// Former names of fields, with their present names.
const FIELDS: [(&str, &str); 4] =
    [("hold", "duration"), ("onFail", "onFailure"), ("zone", "timeZone"), ("service", "serviceSelector")];

/// Former values, with the values that replace them.
const VALUES: [(&str, &str); 3] = [("hold", "Wait"), ("hold", "Keep"), ("fail", "RollBack")];

/// Fields that a later version will have.
const PLANNED: [&str; 8] =
    ["compare", "ingress", "istio", "match", "mirror", "podCount", "preset", "traefik"];

/// Returns what to write instead of an unknown field, in parentheses and after a space, or nothing.
pub(super) fn instead_of_field(name: &str, known: &[&str]) -> String {
    match replacement(&FIELDS, name, known) {
        Some(new) => format!(" (renamed to {new})"),
        None if PLANNED.contains(&name) => " (not supported yet)".to_owned(),
        None => String::new(),
    }
}

/// Returns what to write instead of an unknown value, in parentheses and after a space, or nothing.
pub(super) fn instead_of_value(value: &str, known: &[&str]) -> String {
    replacement(&VALUES, value, known).map(|new| format!(" (renamed to {new})")).unwrap_or_default()
}

fn replacement(table: &[(&str, &'static str)], name: &str, known: &[&str]) -> Option<&'static str> {
    let (_, new) = table.iter().find(|(old, new)| *old == name && known.contains(new))?;
    Some(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_former_name_is_answered_with_the_present_one_where_that_exists() {
        assert_eq!(instead_of_field("hold", &["duration", "weight"]), " (renamed to duration)");
        assert_eq!(instead_of_field("hold", &["person"]), "");
        assert_eq!(instead_of_field("mirror", &["weight"]), " (not supported yet)");
        assert_eq!(instead_of_value("hold", &["Keep", "Revert"]), " (renamed to Keep)");
        assert_eq!(instead_of_value("fail", &["Wait", "RollBack", "Continue"]), " (renamed to RollBack)");
    }
}
