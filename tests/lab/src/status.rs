//! The output of `cargo lab status`.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::ListParams};

use crate::{
    cluster::Cluster, components::Part, errors::Error, paths::Layout, process::State, ready::Prober,
    steelyard,
};

/// Prints a table of the parts and Steelyard's pods. Returns whether every part runs and is ready.
/// Must be called inside the namespace.
pub async fn print(layout: &Layout) -> Result<bool, Error> {
    let cluster = Cluster::of(layout);
    let prober = Prober::new(layout).await?;
    let mut all_ready = true;
    println!("{:<24} {:>8} {:<8} {:<6} {:>8}  LOG", "PART", "PID", "STATE", "READY", "UP");
    for part in Part::ALL {
        let Some(record) = cluster.record(part) else {
            all_ready = false;
            println!("{part:<24} {:>8} {:<8} {:<6} {:>8}  -", "-", "absent", "-", "-");
            continue;
        };
        let state = record.process.state();
        let ready = state == State::Running && prober.check(part).await.is_ok();
        all_ready &= ready;
        let (pid, up) = match state {
            State::Gone => ("-".to_owned(), "-".to_owned()),
            _ => (record.process.pid.to_string(), record.process.age().map_or("-".to_owned(), short)),
        };
        let log = layout.log(part);
        let (state, ready) = (state_name(state), if ready { "yes" } else { "no" });
        println!("{part:<24} {pid:>8} {state:<8} {ready:<6} {up:>8}  {}", log.display());
    }
    println!("{:<24} {:>8} {:<8} {:<6} {:>8}  {}", "(audit)", "", "", "", "", layout.audit_log().display());
    if let Ok(pods) =
        Api::<Pod>::namespaced(prober.kube(), steelyard::NAMESPACE).list(&ListParams::default()).await
    {
        for pod in pods {
            let status = pod.status.unwrap_or_default();
            let ready = status.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True");
            let name = pod.metadata.name.unwrap_or_default();
            let (phase, ready) =
                (status.phase.unwrap_or_default(), if ready { "ready" } else { "not ready" });
            println!("pod {}/{name}: {phase}, {ready}", steelyard::NAMESPACE);
        }
    }
    Ok(all_ready)
}

fn state_name(state: State) -> &'static str {
    match state {
        State::Running => "running",
        State::Frozen => "frozen",
        State::Gone => "stopped",
    }
}

/// Formats an age: `59s`, `12m`, `3h`.
fn short(age: Duration) -> String {
    match age.as_secs() {
        s @ 0..120 => format!("{s}s"),
        s @ 120..7200 => format!("{}m", s / 60),
        s => format!("{}h", s / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        let shown = [59, 119, 120, 7199, 7200].map(|s| short(Duration::from_secs(s)));
        assert_eq!(shown, ["59s", "119s", "2m", "119m", "2h"]);
    }
}
