//! Unusable answers of Prometheus: no rollout passes or rolls back because of them, and status
//! names each.

use futures::future::try_join_all;
use lab::support::{Demo, Failure, Policy, Rollout, Space, tell};

use super::app::App;
use super::controller::Controller;
use super::fake_prometheus::{Answer, FakePrometheus, TLS_ADDRESS};

/// Requests per second on each path.
const RATE: f64 = 10.0;

/// Name, the answer of Prometheus, and a fragment of the message in status.
const CASES: [(&str, Answer, &str); 8] = [
    ("nan", Answer::OtherQuery("vector(0) / vector(0)"), "no data"),
    ("empty", Answer::OtherQuery("a_metric_without_series"), "no data"),
    ("infinite", Answer::OtherQuery("vector(1) / vector(0)"), "not a finite number"),
    ("several", Answer::OtherQuery("prometheus_build_info or up"), "ManySeries"),
    ("down", Answer::Status(503), "HTTP 503"),
    ("slow", Answer::Silence, "Timeout"),
    ("partial", Answer::Body(PARTIAL), "a store is missing"),
    ("page", Answer::Body("<html>log in</html>"), "Unparsable"),
];

/// A value that passes, with a warning that some of the data is missing.
const PARTIAL: &str = r#"{"status":"success","warnings":["a store is missing"],"data":{"resultType":"vector","result":[{"metric":{},"value":[0,"0"]}]}}"#;

/// The message about the metric that the rollout waits for.
fn waiting_message(rollout: &Rollout) -> Option<String> {
    let waits = matches!(rollout.text("/waiting/reason"), "MetricsUnavailable" | "Inconclusive");
    waits.then(|| rollout.text("/waiting/message").to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unusable_answers_neither_pass_nor_roll_back() -> Result<(), Failure> {
    Space::run("odd-answers", async |space| {
        let odd = FakePrometheus::serve(CASES.map(|(name, answer, _)| (name.to_owned(), answer))).await?;
        let started = CASES.map(|(name, _, _)| async move {
            App::start(space, name, 1, Policy::new(name).step(25, 2).step(60, 2).measured_by("odd"), RATE)
                .await
        });
        let apps = try_join_all(started).await?;
        let cases = CASES.iter().zip(&apps);
        try_join_all(cases.clone().map(|((name, answer, word), app)| async move {
            app.push(&Demo::new(name, "v2").replicas(1)).await?;
            let message =
                app.until(&format!("waiting with a message about {word:?}"), waiting_message).await?;
            tell(format_args!("{answer:?} is reported as {message:?}"));
            assert!(message.contains("errors") && message.contains(word), "{name}: {message}");
            Ok::<_, Failure>(())
        }))
        .await?;
        for app in &apps {
            let weights: Vec<u64> = app.trails.weights().into_iter().map(|(_, weight)| weight).collect();
            assert_eq!(weights, [0, 25], "{}: the rollout neither passed nor rolled back", app.name);
            let rollout = app.rollout().await?;
            assert_eq!(rollout.phase(), "Stepping", "{}: {}", app.name, rollout.status);
        }
        odd.answer_normally();
        try_join_all(apps.iter().map(|app| app.completes("v2"))).await?;
        for app in apps {
            let name = app.name.clone();
            app.stop().await.nothing_failed(&name);
        }
        Ok(())
    })
    .await
}

/// The header value in the operator's Secret.
const KEY: &str = "Bearer of-the-lab";

/// A TLS source that requires a key, configured in three ways; only the last one is correct.
fn sources() -> String {
    let url = format!("https://{TLS_ADDRESS}/odd");
    let ca = serde_json::json!({"ca": {"configMap": "kube-root-ca.crt"}});
    let secret = serde_json::json!({"secret": "sealed"});
    let sources = serde_json::json!([
        {"name": "untrusted", "url": url, "headersFrom": secret, "timeout": "2s"},
        {"name": "keyless", "url": url, "tls": ca, "timeout": "2s"},
        {"name": "sealed", "url": url, "tls": ca, "headersFrom": secret, "timeout": "2s"},
    ]);
    format!("prometheus.sources={sources}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_a_tls_source_is_queried_with_the_key_from_a_secret() -> Result<(), Failure> {
    Space::run("sealed", async |space| {
        let _sealed = FakePrometheus::serve_tls(KEY).await?;
        let system = Controller::of(space).space;
        let secret = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: sealed}}\nstringData: {{Authorization: \"{KEY}\\n\"}}\n"
        );
        system.apply(&secret).await?;
        let done = Controller::with(space, &["--set-json", &sources()], async |_| {
            let cases = [("untrusted", "certificate"), ("keyless", "HTTP 401"), ("sealed", "")];
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
                let message = app.until(&format!("waiting with a message about {word:?}"), waiting_message).await?;
                tell(format_args!("source {name} is reported as {message:?}"));
                assert!(message.to_lowercase().contains(&word.to_lowercase()), "{name}: {message}");
                assert!(!message.contains("of-the-lab"), "the message contains no secret: {message}");
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
