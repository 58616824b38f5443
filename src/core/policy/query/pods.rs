//! Regular expressions for the names of a version's pods.

/// The longest name that the API server generates (`apiserver`, `names/generate.go`:
/// `maxNameLength`).
const NAME_LIMIT: usize = 63;
/// The number of random characters at its end (`randomLength`).
const RANDOM: usize = 5;

/// Returns a regular expression for the names of the pods of this `ReplicaSet`.
///
/// The API server cuts `NAME-` to 58 characters and adds 5 random ones (`names/generate.go`),
/// without vowels, 0, 1 and 3 (`rand.String`). A long name loses its hash, or a part of it, so that
/// the pods of stable match as well: see [`is_cut`] and [`listed`]. Dots are in brackets, because
/// backslashes would need escaping in quotes.
pub fn pod_pattern(replica_set: &str) -> String {
    let base = format!("{replica_set}-");
    let base: String = base.chars().take(NAME_LIMIT - RANDOM).collect();
    format!("{}[b-df-hj-np-tv-xz24-9]{{{RANDOM}}}", quoted(&base))
}

/// Returns whether the names of the pods do not contain the whole name of the `ReplicaSet`, so that
/// they have to be [`listed`].
pub fn is_cut(replica_set: &str) -> bool {
    replica_set.len() + 1 > NAME_LIMIT - RANDOM
}

/// Returns a regular expression for exactly these pods; it matches nothing if there are none.
pub fn listed<'a>(pods: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = pods.map(quoted).collect();
    // An empty expression would match series without the label. No name of a pod starts with a
    // dash.
    if names.is_empty() { "-".to_owned() } else { names.join("|") }
}

/// Escapes a name for a regular expression: only dots need it.
fn quoted(name: &str) -> String {
    name.replace('.', "[.]")
}
