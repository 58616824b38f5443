//! What the engine's source says is what the table says, and the other way round.

use std::{collections::BTreeSet, fs, path::Path};

use super::{Place, all, faults, page};

/// Words that look like reasons: kinds, states, conditions, actions of Events. Each is known, so that a new reason is not
/// taken for one of them.
const OTHER: &str = "Accept Accepted CrashLoopBackOff Deployment Doubt Fail False Gated HTTPRoute Healthy Held Leave NoFailure NotHeld Pass Prepare \
    Progressing Promote Release ReplicaSet Rollout SendHome Settle Skip TakeBack True Mon Tue Wed Thu Fri Sat Sun";
/// Parts of sentences: a log's, and lists of fields.
const FRAGMENTS: [&str; 7] = [
    "Deployment …: … …",
    "canary and blueGreen",
    "weight, match, mirror and gate",
    "gatewayAPI, istio, traefik, ingress and service",
    "person, window and webhook",
    "query, compare and preset",
    "%a %-d %b %Y at %H:%M",
];
/// Files outside of the engine whose sentences tell what is wrong with a policy.
const BESIDE: [&str; 3] = ["src/check/fault.rs", "src/analysis/threshold.rs", "src/metrics/template.rs"];

/// A text in the source, and what stands before it.
struct Literal {
    before: String,
    text: String,
}

/// The engine's files, without tests and without this table.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine");
    let mut files = Vec::new();
    for folder in [root.clone(), root.join("valid"), root.join("gate")] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                files.push((path.display().to_string(), fs::read_to_string(path).unwrap()));
            }
        }
    }
    assert!(files.len() > 10, "the engine's files are found");
    files
}

/// The texts of a file, less comments and attributes, with `…` for what is filled in.
fn literals(source: &str) -> Vec<Literal> {
    let spoken = |line: &&str| !["//", "#["].iter().any(|mark| line.trim_start().starts_with(mark));
    let code: Vec<&str> = source.lines().filter(spoken).collect();
    let code = code.join(" ");
    let mut found = Vec::new();
    let (mut before, mut rest) = (String::new(), code.as_str());
    while let Some(start) = rest.find('"') {
        before.push_str(&rest[..start]);
        let tail = &rest[start + 1..];
        let mut end = 0;
        while !tail[end..].starts_with('"') {
            end += if tail[end..].starts_with('\\') {
                2
            } else {
                tail[end..].chars().next().map_or(1, char::len_utf8)
            };
        }
        let squeezed: Vec<&str> = before.split_whitespace().collect();
        found.push(Literal { before: squeezed.join(" "), text: filled(&tail[..end]) });
        before.push_str("\"\"");
        rest = &tail[end + 1..];
    }
    found
}

/// What the errors of a file say.
fn errors(source: &str) -> Vec<String> {
    let texts =
        source.lines().filter_map(|line| line.trim_start().strip_prefix("#[error(\"")?.strip_suffix("\")]"));
    texts.map(filled).collect()
}

/// A format string as people see it.
fn filled(text: &str) -> String {
    // A backslash at a line's end takes the next line's indent away.
    let pieces: Vec<&str> = text.split("\\ ").collect();
    let text = pieces.iter().enumerate().map(|(i, p)| if i == 0 { p } else { p.trim_start() });
    let text: String = text.collect();
    let mut out = String::new();
    let mut parts = text.split('{');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        out.push('…');
        out.push_str(part.split_once('}').map_or("", |(_, after)| after));
    }
    out
}

fn is_word(text: &str) -> bool {
    text.len() > 2
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.chars().all(|c| c.is_ascii_alphabetic())
        && text.chars().any(|c| c.is_ascii_lowercase())
}

/// The place of a reason that stands right behind this.
fn place(before: &str) -> Option<Place> {
    let call = |name: &str| before.ends_with(name);
    let within = |name: &str| {
        before.rsplit_once(name).is_some_and(|(_, rest)| rest.ends_with(',') && !rest.contains('('))
    };
    match () {
        () if call("wait(") || call("wait_until(") || within("lasted(") => Some(Place::Waiting),
        () if call("fail(pass,") => Some(Place::Failure),
        () if call("withdraw(pass,") => Some(Place::Withdrawal),
        () if call("tell(true,") || call("tell(false,") || call("tell( true,") || call("tell( false,") => {
            Some(Place::Event)
        }
        () if call("Refusal::new(") => Some(Place::Refusal),
        () => None,
    }
}

#[test]
fn every_reason_in_the_code_is_in_the_table() {
    let other: BTreeSet<&str> = OTHER.split_whitespace().collect();
    let mut missing = Vec::new();
    let mut placed = 0;
    for (file, source) in sources() {
        for literal in literals(&source).iter().filter(|literal| is_word(&literal.text)) {
            let place = place(&literal.before);
            placed += usize::from(place.is_some());
            let known = all()
                .iter()
                .any(|reason| reason.name == literal.text && place.is_none_or(|place| place == reason.place));
            if !known && (place.is_some() || !other.contains(literal.text.as_str())) {
                missing.push(format!("{} ({place:?}) in {file}", literal.text));
            }
        }
    }
    assert!(placed > 50, "the calls are recognised: {placed}");
    assert!(missing.is_empty(), "add to src/engine/reasons: {missing:#?}");
}

#[test]
fn every_reason_in_the_table_is_in_the_code() {
    let said: BTreeSet<String> =
        sources().iter().flat_map(|(_, source)| literals(source)).map(|literal| literal.text).collect();
    let unsaid: Vec<&str> =
        all().iter().map(|reason| reason.name).filter(|name| !said.contains(*name)).collect();
    assert!(unsaid.is_empty(), "nothing says so any more: {unsaid:?}");
    let mut names: Vec<(Place, &str)> = all().iter().map(|reason| (reason.place, reason.name)).collect();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "a reason stands twice at a place");
}

#[test]
fn every_sentence_in_the_code_is_in_the_table_and_the_other_way_round() {
    let mut said: BTreeSet<String> =
        sources().iter().flat_map(|(_, source)| literals(source)).map(|literal| literal.text).collect();
    let mut told: BTreeSet<&str> = all().iter().flat_map(|reason| reason.says.iter().copied()).collect();
    told.extend(faults::ALL.iter().map(|fault| fault.says));
    let page = page();
    let sentence =
        |text: &&String| text.split_whitespace().count() >= 3 && !FRAGMENTS.contains(&text.as_str());
    let missing: Vec<&String> =
        said.iter().filter(sentence).filter(|text| !page.contains(text.as_str())).collect();
    assert!(missing.is_empty(), "add to src/engine/reasons: {missing:#?}");
    for file in BESIDE {
        let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let errors = errors(&source);
        let missing: Vec<&String> = errors.iter().filter(|text| !told.contains(text.as_str())).collect();
        assert!(missing.is_empty(), "add to src/engine/reasons/faults.rs: {missing:#?}");
        said.extend(literals(&source).into_iter().map(|literal| literal.text).chain(errors));
    }
    // Where another part of the program makes the sentence, the table says so in its own words.
    let elsewhere = ["the message of condition Accepted", "the path of each field, and what is wrong there"];
    let unsaid: Vec<&&str> =
        told.iter().filter(|text| !said.contains(**text) && !elsewhere.contains(text)).collect();
    assert!(unsaid.is_empty(), "nothing says so any more: {unsaid:#?}");
}

#[test]
fn the_page_is_the_one_that_the_code_makes() {
    crate::pages::assert_current("docs/reasons.md", &page());
}
