//! Names of revisions, hashes of templates, and what status records of a version.

use serde_json::Value;

use super::snapshot::{Deployment, ReplicaSet};
use crate::api::Version;

/// The longest tag that status shows, in characters: the columns of `kubectl get rollouts` fit 120.
const LONGEST_TAG: usize = 16;
/// What both names and hashes consist of.
const ALPHABET: &[u8; 32] = b"0123456789abcdfghjklmnpqrstvwxyz";

/// Names the Deployment's template: at most 10 characters, beginning with `0`, so that it never
/// equals a hash of the Deployment controller's (`SafeEncodeString` has no `0` and no `a`), and
/// another one for each generation of each Deployment.
pub(super) fn mint(d: &Deployment, deployment: &str) -> Version {
    let revision = name(&d.meta.uid, d.meta.generation);
    let replica_set = format!("{deployment}-{revision}");
    version(revision, replica_set, &d.template, d.meta.generation)
}

/// Returns the version of a `ReplicaSet` whose template was pushed with this generation of the
/// Deployment.
pub(super) fn of(set: &ReplicaSet, generation: i64) -> Version {
    version(set.hash.clone(), set.meta.name.clone(), &set.template, generation)
}

fn version(revision: String, replica_set: String, template: &Value, generation: i64) -> Version {
    Version { revision, replica_set, tag: tag(template), generation, template_hash: hash(template) }
}

/// Returns the tag of the first image of a template, or the start of its digest; `latest` without
/// both. Tags of more than 16 characters are shortened in the middle.
pub fn tag(template: &Value) -> String {
    let image = template["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let tag = name.rsplit('/').next().and_then(|name| name.split_once(':')).map(|(_, tag)| tag);
    match (tag, digest) {
        (Some(tag), _) => shortened(tag),
        (None, Some(digest)) => {
            digest.rsplit(':').next().unwrap_or_default().chars().take(12).collect::<String>()
        }
        (None, None) => "latest".to_owned(),
    }
}

/// Shortens a tag. Of a git commit the start is enough, as git itself shows it.
fn shortened(tag: &str) -> String {
    let length = tag.chars().count();
    if length <= LONGEST_TAG {
        return tag.to_owned();
    }
    if length >= 32 && tag.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return tag[..12].to_owned();
    }
    let start: String = tag.chars().take(7).collect();
    let end: String = tag.chars().skip(length + 8 - LONGEST_TAG).collect();
    format!("{start}\u{2026}{end}")
}

/// Hashes a pod template, whatever the order of its fields. The hash never equals a revision, which
/// begins with `0a`.
pub fn hash(template: &Value) -> String {
    let mut fnv = Fnv::default();
    fnv.value(template);
    fnv.encoded("0t")
}

fn name(uid: &str, generation: i64) -> String {
    let mut fnv = Fnv::default();
    fnv.text(&format!("{uid}/{generation}"));
    fnv.encoded("0a")
}

/// FNV-1a: the results have to be the same in every version of Steelyard, not hard to guess.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn text(&mut self, text: &str) {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Object(fields) => {
                let mut names: Vec<_> = fields.keys().collect();
                names.sort_unstable();
                self.text("{");
                for name in names {
                    self.text(name);
                    self.text("\0");
                    self.value(&fields[name]);
                }
                self.text("}");
            }
            Value::Array(items) => {
                self.text("[");
                for item in items {
                    self.value(item);
                }
                self.text("]");
            }
            Value::String(text) => {
                self.text(text);
                self.text("\0");
            }
            other => {
                self.text(&other.to_string());
                self.text(",");
            }
        }
    }

    fn encoded(self, prefix: &str) -> String {
        let Self(mut hash) = self;
        let mut out = prefix.to_owned();
        for _ in 0..7 {
            out.push(char::from(ALPHABET[usize::try_from(hash % 32).unwrap_or(0)]));
            hash /= 32;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tag_of(image: &str) -> String {
        tag(&json!({"spec": {"containers": [{"image": image}]}}))
    }

    #[test]
    fn a_version_is_shown_by_its_tag_or_digest_in_at_most_sixteen_characters() {
        let digest = "1a2b3c4d5e6f".repeat(6);
        assert_eq!(tag_of("registry:5000/shop/web"), "latest");
        assert_eq!(tag_of("registry:5000/shop/web:v2"), "v2");
        assert_eq!(tag_of(&format!("web@sha256:{digest}")), "1a2b3c4d5e6f");
        assert_eq!(tag_of(&format!("web:v2@sha256:{digest}")), "v2");
        assert_eq!(tag_of("web:0123456789abcdef0123456789abcdef01234567"), "0123456789ab");
        assert_eq!(tag_of("web:2026-11-29.release.17"), "2026-11\u{2026}lease.17");
        assert_eq!(tag_of("web:2026-11-29.release.17").chars().count(), LONGEST_TAG);
    }

    #[test]
    fn the_hash_of_a_template_depends_on_its_values_and_not_on_the_order_of_its_fields() {
        let one = json!({"a": [1, "b"], "c": {"d": null}});
        let same: Value = serde_json::from_str(r#"{"c": {"d": null}, "a": [1, "b"]}"#).unwrap();
        assert_eq!(hash(&one), hash(&same));
        for other in [json!({"a": ["1", "b"], "c": {"d": null}}), json!({"a": [1, "b"], "c": {"d": 0}})] {
            assert_ne!(hash(&one), hash(&other));
        }
        assert!(hash(&one).starts_with("0t") && hash(&one).len() <= 10);
    }
}
