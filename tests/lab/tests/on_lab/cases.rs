//! What people reported of tools for progressive delivery: each folder of `tests/lab/cases` has the
//! objects, and a script that checks the outcome. docs/faults.md names the rule of each.

use std::{collections::BTreeSet, fs, time::Duration};

use lab::{
    paths::repository,
    support::{Failure, tell},
};
use tokio::process::Command;

/// The longest time that a script runs, on a busy machine.
const LIMIT: Duration = Duration::from_mins(5);

/// Runs the script of a case; it fails if something differs from what it expects.
async fn run(case: &str) -> Result<(), Failure> {
    let script = repository().join("tests/lab/cases").join(case).join("run.sh");
    let command = Command::new("sh").arg(script).kill_on_drop(true).output();
    let output = tokio::time::timeout(LIMIT, command).await??;
    let printed = String::from_utf8_lossy(&output.stdout);
    tell(format_args!("{case}:\n{printed}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{case}:\n{printed}\n{errors}").into()) }
}

macro_rules! cases {
    ($($test:ident: $case:literal,)*) => {
        const ALL: &[&str] = &[$($case),*];
        $(
            #[tokio::test]
            async fn $test() -> Result<(), Failure> {
                run($case).await
            }
        )*
    };
}

cases! {
    a_metric_that_always_passes_is_warned_about: "always-one",
    an_init_container_that_waits_is_no_crash_loop: "init-container-waits",
    the_label_that_the_new_pods_lack_is_named: "label-missing-in-template",
    a_service_for_metrics_selects_both_versions: "metrics-service",
    one_parent_that_accepts_the_route_is_enough: "one-parent-refuses",
    a_quota_without_room_is_reported_with_its_words: "quota-without-room",
    a_string_between_backticks_is_accepted: "raw-strings",
    a_rejected_template_stays_rejected_without_its_replica_set: "rejected-replica-set-deleted",
    a_route_of_another_namespace_gets_the_weight: "route-in-other-namespace",
    a_canary_without_the_routed_port_gets_no_traffic: "routed-port-renamed",
    a_rule_without_a_service_does_not_stop_the_measurements: "rule-without-service",
    a_selector_that_changes_with_the_labels_selects_the_first_ready_version: "selector-and-labels-change-together",
    both_routes_of_a_service_get_the_weight: "service-in-two-routes",
    a_service_without_endpoints_is_not_waited_for: "service-without-endpoints",
    a_stable_that_was_never_ready_does_not_block_its_fix: "stable-never-ready",
    the_newest_push_wins_over_a_stalled_native_rollout: "stalled-native-rollout",
    a_window_longer_than_the_step_is_warned_about: "window-longer-than-step",
}

#[test]
fn every_case_has_a_test() -> Result<(), Failure> {
    let mut folders = BTreeSet::new();
    for entry in fs::read_dir(repository().join("tests/lab/cases"))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    assert_eq!(folders.iter().map(String::as_str).collect::<Vec<_>>(), ALL);
    Ok(())
}
