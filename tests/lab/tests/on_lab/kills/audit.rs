//! The API server's audit log: who wrote what and when.

use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use jiff::Timestamp;
use lab::support::Failure;
use serde_json::Value;

/// The audit log from a given time on.
pub(crate) struct Audit {
    file: PathBuf,
    from: u64,
}

/// A write that the API server executed or refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    /// When the request was received.
    pub(crate) at: Timestamp,
    /// The pod whose token it used.
    pub(crate) pod: String,
    /// The verb.
    pub(crate) verb: String,
    /// The plural of the kind, and the subresource if there is one: `rollouts/status`.
    pub(crate) resource: String,
    /// `NAMESPACE/NAME`.
    pub(crate) object: String,
    /// The HTTP status of the response.
    pub(crate) code: u64,
}

impl Audit {
    /// The log from now on.
    pub(crate) fn begin() -> Result<Self, Failure> {
        let file = PathBuf::from(std::env::var("LAB_DIR")?).join("audit.log");
        let from = std::fs::metadata(&file)?.len();
        Ok(Self { file, from })
    }

    /// All writes of Steelyard's service account since then, without dry runs.
    pub(crate) fn writes(&self) -> Result<Vec<Entry>, Failure> {
        let mut file = std::fs::File::open(&self.file)?;
        file.seek(SeekFrom::Start(self.from))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        // The last line may be incomplete.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let entries = whole.lines().filter_map(|line| entry(&serde_json::from_str(line).ok()?));
        Ok(entries.collect())
    }
}

fn entry(line: &Value) -> Option<Entry> {
    let text = |pointer: &str| line.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let ours = text("/user/username") == "system:serviceaccount:steelyard-system:steelyard";
    let writes = matches!(text("/verb"), "create" | "update" | "patch" | "delete" | "deletecollection");
    if !ours || !writes || text("/stage") != "ResponseComplete" || text("/requestURI").contains("dryRun=") {
        return None;
    }
    let resource = match text("/objectRef/subresource") {
        "" => text("/objectRef/resource").to_owned(),
        sub => format!("{}/{sub}", text("/objectRef/resource")),
    };
    Some(Entry {
        at: text("/requestReceivedTimestamp").parse().ok()?,
        pod: text("/user/extra/authentication.kubernetes.io~1pod-name/0").to_owned(),
        verb: text("/verb").to_owned(),
        resource,
        object: format!("{}/{}", text("/objectRef/namespace"), text("/objectRef/name")),
        code: line.pointer("/responseStatus/code").and_then(Value::as_u64)?,
    })
}
