//! Answers of Prometheus that are none: no rollout passes on them and none is rolled back; each is told by name.

use futures::future::try_join_all;
use lab::support::{Demo, Failure, Policy, Rollout, Space, tell};

use super::app::App;
use super::controller::Controller;
use super::odd::{Mood, Odd, SEALED};

/// Requests per second and way.
const RATE: f64 = 10.0;

/// Name, how Prometheus answers, and how status must tell it.
const CASES: [(&str, Mood, &str); 8] = [
    ("nan", Mood::Instead("vector(0) / vector(0)"), "no data"),
    ("empty", Mood::Instead("a_metric_that_nobody_has"), "no data"),
    ("infinite", Mood::Instead("vector(1) / vector(0)"), "not a finite number"),
    ("several", Mood::Instead("prometheus_build_info or up"), "ManySeries"),
    ("down", Mood::Status(503), "HTTP 503"),
    ("slow", Mood::Silence, "Timeout"),
    ("partial", Mood::Body(PARTIAL), "a store is missing"),
    ("page", Mood::Body("<html>log in</html>"), "Unparsable"),
];

/// A value that passes, and a warning that some of the data is missing.
const PARTIAL: &str = r#"{"status":"success","warnings":["a store is missing"],"data":{"resultType":"vector","result":[{"metric":{},"value":[0,"0"]}]}}"#;

/// What the status says of the metric that is awaited.
fn told(rollout: &Rollout) -> Option<String> {
    let waits = matches!(rollout.text("/waiting/reason"), "MetricsUnavailable" | "Inconclusive");
    waits.then(|| rollout.text("/waiting/message").to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_that_is_none_passes_or_rolls_back() -> Result<(), Failure> {
    Space::run("odd-answers", async |space| {
        let odd = Odd::serve(CASES.map(|(name, mood, _)| (name.to_owned(), mood))).await?;
        let started = CASES.map(|(name, _, _)| async move {
            App::start(space, name, 1, Policy::new(name).step(25, 2).step(60, 2).measured_by("odd"), RATE)
                .await
        });
        let apps = try_join_all(started).await?;
        let cases = CASES.iter().zip(&apps);
        try_join_all(cases.clone().map(|((name, mood, word), app)| async move {
            app.push(&Demo::new(name, "v2").replicas(1)).await?;
            let told = app.until(&format!("waiting, telling {word:?}"), told).await?;
            tell(format_args!("{mood:?} is told as {told:?}"));
            assert!(told.contains("errors") && told.contains(word), "{name}: {told}");
            Ok::<_, Failure>(())
        }))
        .await?;
        for app in &apps {
            let weights: Vec<u64> = app.trails.weights().into_iter().map(|(_, weight)| weight).collect();
            assert_eq!(weights, [0, 25], "{}: neither passed nor rolled back", app.name);
            let rollout = app.rollout().await?;
            assert_eq!(rollout.phase(), "Stepping", "{}: {}", app.name, rollout.status);
        }
        odd.heal();
        try_join_all(apps.iter().map(|app| app.completes("v2"))).await?;
        for app in apps {
            let name = app.name.clone();
            app.stop().await.nothing_failed(&name);
        }
        Ok(())
    })
    .await
}

/// What the operator's Secret holds.
const KEY: &str = "Bearer of-the-lab";

/// A source by TLS that wants a key: three ways to be configured, of which only the last one is right.
fn sources() -> String {
    let url = format!("https://{SEALED}/odd");
    let ca = serde_json::json!({"ca": {"configMap": "kube-root-ca.crt"}});
    let secret = serde_json::json!({"secret": "sealed"});
    let sources = serde_json::json!([
        {"name": "stranger", "url": url, "headersFrom": secret, "timeout": "2s"},
        {"name": "keyless", "url": url, "tls": ca, "timeout": "2s"},
        {"name": "sealed", "url": url, "tls": ca, "headersFrom": secret, "timeout": "2s"},
    ]);
    format!("prometheus.sources={sources}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_a_source_by_tls_is_asked_with_the_key_of_a_secret() -> Result<(), Failure> {
    Space::run("sealed", async |space| {
        let _sealed = Odd::sealed(KEY).await?;
        let system = Controller::of(space).space;
        let secret = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: sealed}}\nstringData: {{Authorization: \"{KEY}\\n\"}}\n"
        );
        system.apply(&secret).await?;
        let done = Controller::with(space, &["--set-json", &sources()], async |_| {
            let cases = [("stranger", "certificate"), ("keyless", "HTTP 401"), ("sealed", "")];
            let apps = try_join_all(cases.map(|(name, _)| async move {
                App::start(space, name, 1, Policy::new(name).step(25, 2).measured_by(name), RATE).await
            }))
            .await?;
            for app in &apps {
                app.push(&Demo::new(&app.name, "v2").replicas(1)).await?;
            }
            for (app, (name, word)) in apps.iter().zip(cases) {
                if word.is_empty() {
                    app.completes("v2").await?;
                    continue;
                }
                let told = app.until(&format!("waiting, telling {word:?}"), told).await?;
                tell(format_args!("source {name} is told as {told:?}"));
                assert!(told.to_lowercase().contains(&word.to_lowercase()), "{name}: {told}");
                assert!(!told.contains("of-the-lab"), "no secret is told: {told}");
            }
            for app in apps {
                let name = app.name.clone();
                app.stop().await.nothing_failed(&name);
            }
            Ok(())
        })
        .await;
        system.kubectl(&["delete", "secret", "sealed"]).await?;
        done
    })
    .await
}
