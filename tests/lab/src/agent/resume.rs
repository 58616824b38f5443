//! The initial state of a container when the agent first sees its pod.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container as Spec, ContainerStatus};

use super::status::{Exit, View};

/// Returns the state of a container before its first run by this agent. A container that an earlier
/// agent ran has ended with that agent, which counts as a restart.
pub(super) fn first_view(spec: &Spec, before: Option<&ContainerStatus>, now: Timestamp) -> View {
    let mut view = View::new(&spec.name, spec.image.as_deref().unwrap_or_default());
    let Some(before) = before else { return view };
    view.restarts = before.restart_count;
    let state = before.state.clone().unwrap_or_default();
    if let Some(running) = state.running {
        let started = running.started_at.map_or(now, |time| time.0);
        let message = Some("the node agent was restarted".to_owned());
        view.last = Some(Exit { code: 137, reason: "Error", message, started, finished: now });
        view.restarts += 1;
    }
    view
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_an_earlier_agent_ran_counts_as_restarted() {
        let spec: Spec =
            serde_json::from_value(serde_json::json!({"name": "app", "image": "demo:v1"})).unwrap();
        let status = |state: serde_json::Value| -> ContainerStatus {
            serde_json::from_value(serde_json::json!({
                "name": "app", "image": "demo:v1", "imageID": "", "ready": true, "restartCount": 2, "state": state,
            }))
            .unwrap()
        };
        let now = Timestamp::UNIX_EPOCH;
        let view = first_view(&spec, Some(&status(serde_json::json!({"running": {}}))), now);
        assert_eq!((view.restarts, view.last.map(|exit| exit.code)), (3, Some(137)));
        let waiting = serde_json::json!({"waiting": {"reason": "ContainerCreating"}});
        let view = first_view(&spec, Some(&status(waiting)), now);
        assert_eq!((view.restarts, view.last), (2, None));
        assert_eq!(first_view(&spec, None, now).restarts, 0);
    }
}
