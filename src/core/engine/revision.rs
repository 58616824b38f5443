//! Names of revisions, and what status says of a version.

use serde_json::Value;

use super::snapshot::{Deployment, ReplicaSet};
use crate::api::Version;

/// Names the Deployment's template: at most 10 characters, beginning with `0`, so that it never equals
/// a hash of the Deployment controller's (`SafeEncodeString` has no `0` and no `a`), and another one for
/// each generation of each Deployment.
pub(super) fn mint(d: &Deployment, deployment: &str) -> Version {
    let revision = name(&d.meta.uid, d.meta.generation);
    let replica_set = format!("{deployment}-{revision}");
    version(revision, replica_set, &d.template, d.meta.generation)
}

/// The version of a `ReplicaSet`, whose template came with this generation of the Deployment.
pub(super) fn of(set: &ReplicaSet, generation: i64) -> Version {
    version(set.hash.clone(), set.meta.name.clone(), &set.template, generation)
}

fn version(revision: String, replica_set: String, template: &Value, generation: i64) -> Version {
    Version { revision, replica_set, tag: tag(template), generation }
}

/// The tag of the first image of a template.
pub fn tag(template: &Value) -> String {
    let image = template["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
    image.rsplit('/').next().unwrap_or_default().split_once(':').map_or("latest", |(_, tag)| tag).to_owned()
}

fn name(uid: &str, generation: i64) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdfghjklmnpqrstvwxyz";
    // FNV-1a: the names have to be the same in every version of Steelyard, not hard to guess.
    let text = format!("{uid}/{generation}");
    let mut hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let mut out = "0a".to_owned();
    for _ in 0..7 {
        out.push(char::from(ALPHABET[usize::try_from(hash % 32).unwrap_or(0)]));
        hash /= 32;
    }
    out
}
