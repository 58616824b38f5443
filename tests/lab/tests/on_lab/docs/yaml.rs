//! The YAML of all pages. The API server validates objects by dry run, `policy check` also
//! validates policies and single steps, and Helm validates chart values. Kinds of other projects
//! are compared with the fields of their definitions.

use std::collections::BTreeSet;
use std::process::Stdio;

use lab::paths::repository;
use lab::support::{Failure, Space};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::page::{Block, blocks};

/// Kinds that the lab does not have, with each field that a page sets. Copied from their
/// definitions.
const FOREIGN: [(&str, &str, &[&str]); 4] = [
    (
        "argoproj.io/v1alpha1",
        "Application",
        &[
            "spec.destination.namespace",
            "spec.destination.server",
            "spec.ignoreDifferences[].group",
            "spec.ignoreDifferences[].jqPathExpressions[]",
            "spec.ignoreDifferences[].jsonPointers[]",
            "spec.ignoreDifferences[].kind",
            "spec.project",
            "spec.source.path",
            "spec.source.repoURL",
            "spec.source.targetRevision",
            "spec.syncPolicy.automated.prune",
            "spec.syncPolicy.automated.selfHeal",
            "spec.syncPolicy.syncOptions[]",
        ],
    ),
    (
        "kustomize.toolkit.fluxcd.io/v1",
        "Kustomization",
        &[
            "spec.healthCheckExprs[].apiVersion",
            "spec.healthCheckExprs[].current",
            "spec.healthCheckExprs[].failed",
            "spec.healthCheckExprs[].kind",
            "spec.healthChecks[].apiVersion",
            "spec.healthChecks[].kind",
            "spec.healthChecks[].name",
            "spec.healthChecks[].namespace",
            "spec.interval",
            "spec.path",
            "spec.prune",
            "spec.retryInterval",
            "spec.sourceRef.kind",
            "spec.sourceRef.name",
            "spec.timeout",
            "spec.wait",
        ],
    ),
    (
        "helm.toolkit.fluxcd.io/v2",
        "HelmRelease",
        &[
            "spec.chart.spec.chart",
            "spec.chart.spec.sourceRef.kind",
            "spec.chart.spec.sourceRef.name",
            "spec.driftDetection.ignore[].paths[]",
            "spec.driftDetection.ignore[].target.kind",
            "spec.driftDetection.mode",
            "spec.interval",
            "spec.upgrade.disableWait",
        ],
    ),
    (
        "autoscaling.k8s.io/v1",
        "VerticalPodAutoscaler",
        &[
            "spec.targetRef.apiVersion",
            "spec.targetRef.kind",
            "spec.targetRef.name",
            "spec.updatePolicy.updateMode",
        ],
    ),
];
/// Values of such fields that are JSON pointers into Kubernetes objects: the accepted ones.
const POINTERS: [&str; 3] = ["/spec/rules", "/spec/selector/pod-template-hash", ".spec.rules[].backendRefs"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_yaml_block_of_a_page_is_valid() -> Result<(), Failure> {
    Space::run("docs-yaml", async |space| {
        let (mut served, mut used) = (0, BTreeSet::new());
        for block in blocks()?.iter().filter(|block| block.language == "yaml") {
            let documents: Vec<Value> =
                serde_saphyr::from_multiple(&block.text).map_err(|error| format!("{block}: {error}"))?;
            assert!(!documents.is_empty(), "{block}");
            for document in documents {
                let word = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
                let (version, kind) = (word("apiVersion"), word("kind"));
                if let Value::Array(steps) = document {
                    let policy = around(steps);
                    fed(block, "steelyard", &["policy", "check", "-"], &policy.to_string()).await?;
                } else if kind.is_empty() {
                    settings(block).await?;
                } else if let Some(known) = FOREIGN.iter().find(|(v, k, _)| (*v, *k) == (&version, &kind)) {
                    foreign(block, &document, known.2);
                    used.insert(known.1);
                } else {
                    dry_run(space, block, document).await?;
                    served += 1;
                }
                if version.starts_with("steelyard.io/") {
                    checked(block).await?;
                }
            }
        }
        assert!(served > 4, "objects are found: {served}");
        assert_eq!(used.len(), FOREIGN.len(), "{used:?}: no page has one of the kinds any more");
        Ok(())
    })
    .await
}

/// Runs a program with a text as input and returns its output.
async fn fed(block: &Block, program: &str, args: &[&str], text: &str) -> Result<String, Failure> {
    let mut command = Command::new(program);
    command.args(args).current_dir(repository()).kill_on_drop(true);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().ok_or("no input")?.write_all(text.as_bytes()).await?;
    let output = child.wait_with_output().await?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    if output.status.success() {
        Ok(out)
    } else {
        Err(format!("{block}: {program} {args:?}: {out}{err}").into())
    }
}

/// Applies an object by server-side dry run in the test's namespace. Unknown and duplicate fields
/// are errors.
async fn dry_run(space: &Space, block: &Block, mut object: Value) -> Result<(), Failure> {
    if object["metadata"].get("namespace").is_some() {
        object["metadata"]["namespace"] = space.name().into();
    }
    let args =
        ["apply", "--server-side", "--dry-run=server", "--validate=strict", "-n", space.name(), "-f", "-"];
    fed(block, "kubectl", &args, &object.to_string()).await.map(drop)
}

/// Runs `policy check` on a policy, which also parses its queries.
async fn checked(block: &Block) -> Result<(), Failure> {
    fed(block, "steelyard", &["policy", "check", "-"], &block.text).await.map(drop)
}

/// A policy of these steps. Adds a step with a weight if none has one, because a gate alone moves
/// no traffic.
fn around(mut steps: Vec<Value>) -> Value {
    if steps.iter().all(|step| step.get("weight").is_none()) {
        steps.push(json!({"weight": 100}));
    }
    json!({
        "apiVersion": "steelyard.io/v1alpha1",
        "kind": "RolloutPolicy",
        "metadata": {"name": "web"},
        "spec": {"strategy": {"canary": {"steps": steps}}, "traffic": {"gatewayAPI": {}}},
    })
}

/// Renders the chart with these values, which its schema validates.
async fn settings(block: &Block) -> Result<(), Failure> {
    let args = ["template", "steelyard", "charts/steelyard", "-n", "steelyard-system", "-f", "-"];
    let rendered = fed(block, "helm", &args, &block.text).await?;
    assert!(rendered.contains("kind: Deployment"), "{block}: {rendered}");
    Ok(())
}

/// Checks that an object has only known fields of its kind.
fn foreign(block: &Block, object: &Value, known: &[&str]) {
    let mut found = Vec::new();
    leaves(&object["spec"], "spec", &mut found);
    for (path, value) in found {
        assert!(
            known.contains(&path.as_str()),
            "{block}: {path}: check that the kind's definition has this field, then add it to FOREIGN"
        );
        if ["paths[]", "jsonPointers[]", "jqPathExpressions[]"].iter().any(|end| path.ends_with(end)) {
            let named = value.as_str().unwrap_or_default();
            assert!(POINTERS.contains(&named), "{block}: {named}");
        }
    }
}

/// Every field with its value; list items have the path `[]`.
fn leaves<'a>(value: &'a Value, path: &str, found: &mut Vec<(String, &'a Value)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                leaves(value, &format!("{path}.{name}"), found);
            }
        }
        Value::Array(values) => {
            for value in values {
                leaves(value, &format!("{path}[]"), found);
            }
        }
        _ => found.push((path.to_owned(), value)),
    }
}
