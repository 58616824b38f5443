//! The health that docs/recipes computes for a Rollout and a Deployment: Argo CD's scripts in Lua
//! 5.1, and Flux's expressions in CEL.

use std::collections::BTreeMap;

use cel::{Context, Program};
use k8s_openapi::api::apps::v1::Deployment;
use lab::support::{Failure, Rollout, Space};
use mlua::{Lua, Table};
use serde_json::{Value, json};

use super::page::blocks_of;

/// The health of `web` as the tools report it now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Health {
    /// The health of the Rollout in Argo CD.
    pub(super) rollout: String,
    /// The health of the Deployment in Argo CD.
    pub(super) deployment: String,
    /// The health of the Rollout in Flux.
    pub(super) flux: &'static str,
}

impl Health {
    /// Returns a health with these values, in the order of the fields.
    pub(super) fn new(rollout: &str, deployment: &str, flux: &'static str) -> Self {
        Self { rollout: rollout.to_owned(), deployment: deployment.to_owned(), flux }
    }
}

/// The scripts and expressions of the pages.
pub(super) struct Checks {
    rollout: String,
    deployment: String,
    flux: BTreeMap<String, String>,
}

impl Checks {
    pub(super) fn read() -> Result<Self, Failure> {
        let customizations = object("docs/recipes/argocd.md", "ConfigMap")?;
        let script = |kind: &str| {
            let key = format!("resource.customizations.health.{kind}");
            let found = customizations["data"][&key].as_str().map(str::to_owned);
            found.ok_or_else(|| Failure::from(format!("no script {key}")))
        };
        let kustomization = object("docs/recipes/flux.md", "Kustomization")?;
        let all = kustomization["spec"]["healthCheckExprs"].as_array();
        let ours = all.into_iter().flatten().find(|check| check["kind"] == "Rollout");
        let flux: BTreeMap<String, String> =
            serde_json::from_value(ours.cloned().ok_or("no expressions for Rollouts")?)?;
        Ok(Self { rollout: script("steelyard.io_Rollout")?, deployment: script("apps_Deployment")?, flux })
    }

    /// Evaluates them on `web` as it is now.
    pub(super) async fn of(&self, space: &Space) -> Result<Health, Failure> {
        let rollout = space.api::<Rollout>().get("web").await?;
        let deployment = json!(space.api::<Deployment>().get("web").await?);
        let rollout = json!({"metadata": rollout.metadata, "spec": rollout.spec, "status": rollout.status});
        assert_eq!(kstatus(&rollout), self.flux(&rollout)?, "Flux without expressions: {rollout}");
        Ok(Health {
            rollout: argocd(&self.rollout, &rollout)?,
            deployment: argocd(&self.deployment, &deployment)?,
            flux: self.flux(&rollout)?,
        })
    }

    /// Evaluates the expression for a failure first.
    fn flux(&self, object: &Value) -> Result<&'static str, Failure> {
        for (name, state) in [("failed", "Failed"), ("current", "Current")] {
            let expression = self.flux.get(name).ok_or_else(|| format!("no expression {name}"))?;
            if holds(expression, object)? {
                return Ok(state);
            }
        }
        Ok("InProgress")
    }
}

/// Computes the status as tools do that know nothing of Rollouts, Flux among them: the generic
/// rules of kstatus (`sigs.k8s.io/cli-utils/pkg/kstatus/status`, `generic.go` and `core.go`).
fn kstatus(object: &Value) -> &'static str {
    let conditions = object["status"]["conditions"].as_array();
    let is = |kind: &str, status: &str| {
        let mut conditions = conditions.into_iter().flatten();
        conditions.any(|condition| condition["type"] == kind && condition["status"] == status)
    };
    if !object["metadata"]["deletionTimestamp"].is_null() {
        "Terminating"
    } else if object["status"]["observedGeneration"] != object["metadata"]["generation"]
        || is("Reconciling", "True")
    {
        "InProgress"
    } else if is("Stalled", "True") {
        "Failed"
    } else if is("Ready", "False") || is("Ready", "Unknown") {
        "InProgress"
    } else {
        "Current"
    }
}

/// The object of this kind on a page.
fn object(page: &str, kind: &str) -> Result<Value, Failure> {
    for block in blocks_of(page)?.into_iter().filter(|block| block.language == "yaml") {
        let objects: Vec<Value> = serde_saphyr::from_multiple(&block.text)?;
        if let Some(found) = objects.into_iter().find(|object| object["kind"] == kind) {
            return Ok(found);
        }
    }
    Err(format!("{page} has no {kind}").into())
}

/// Runs a script on an object and returns the status. Anything but Healthy must have a message.
fn argocd(script: &str, object: &Value) -> Result<String, Failure> {
    // Its errors are not `Send`.
    let (status, message) = status_and_message(script, object).map_err(|error| error.to_string())?;
    assert!(status == "Healthy" || message.is_some_and(|message| message.len() > 3), "{status}: {object}");
    Ok(status)
}

/// The status and the message that a script returns for an object.
fn status_and_message(script: &str, object: &Value) -> mlua::Result<(String, Option<String>)> {
    let lua = Lua::new();
    lua.globals().set("obj", in_lua(&lua, object)?)?;
    let health: Table = lua.load(script).eval()?;
    Ok((health.get("status")?, health.get("message")?))
}

/// Converts a JSON value to Lua: null becomes nil, and lists begin at 1.
fn in_lua(lua: &Lua, value: &Value) -> mlua::Result<mlua::Value> {
    Ok(match value {
        Value::Null => mlua::Value::Nil,
        Value::Bool(value) => mlua::Value::Boolean(*value),
        Value::Number(value) => mlua::Value::Number(value.as_f64().unwrap_or(f64::NAN)),
        Value::String(value) => mlua::Value::String(lua.create_string(value)?),
        Value::Array(values) => {
            let table = lua.create_table()?;
            for value in values {
                table.push(in_lua(lua, value)?)?;
            }
            mlua::Value::Table(table)
        }
        Value::Object(fields) => {
            let table = lua.create_table()?;
            for (name, value) in fields {
                table.set(name.as_str(), in_lua(lua, value)?)?;
            }
            mlua::Value::Table(table)
        }
    })
}

/// Returns whether an expression is true for an object, whose fields are its variables.
fn holds(expression: &str, object: &Value) -> Result<bool, Failure> {
    let program = Program::compile(expression).map_err(|error| format!("{expression}: {error}"))?;
    let mut context = Context::default();
    for (name, value) in object.as_object().into_iter().flatten() {
        let value = cel::to_value(value).map_err(|error| format!("{name}: {error}"))?;
        context.add_variable_from_value(name.clone(), value);
    }
    match program.execute(&context).map_err(|error| format!("{expression}: {error}"))? {
        cel::Value::Bool(holds) => Ok(holds),
        other => Err(format!("{expression}: {other:?}").into()),
    }
}

#[test]
fn a_paused_rollout_is_suspended_and_a_refused_one_is_degraded() -> Result<(), Failure> {
    let checks = Checks::read()?;
    let paused = json!({"phase": "Stepping", "waiting": {"reason": "Paused", "message": "paused by alice"}});
    let refused = json!({"phase": "Preparing", "conditions": [
        {"type": "Accepted", "status": "False", "message": "no HTTPRoute names a Service"}]});
    assert_eq!(checks.flux(&json!({"status": refused}))?, "InProgress", "a user can still fix it");
    for (status, health) in [(paused, "Suspended"), (refused, "Degraded"), (Value::Null, "Progressing")] {
        let object = json!({"status": status});
        assert_eq!(argocd(&checks.rollout, &object)?, health, "{object}");
    }
    Ok(())
}
