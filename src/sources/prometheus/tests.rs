use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap as Headers, Response as Answer, Uri};
use futures::stream;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use ErrorClass::{Auth, ManySeries, Refused, Server, Timeout, TooLarge, Unparsable, Warnings, WrongType};

/// The response of the fake server.
#[derive(Clone)]
enum Reply {
    Full(u16, String),
    /// A body without an end.
    Endless,
    /// A partial body, and then nothing.
    Stuck,
    /// A partial body, and then a broken connection.
    Broken,
    Redirect,
}

/// The requests that the fake server received.
type Seen = Arc<Mutex<Vec<(String, Headers, String)>>>;

/// Returns a query with the defaults of the source.
fn plain(query: &str) -> Request {
    Request { query: query.to_owned(), ..Request::default() }
}

struct Fake {
    source: Source,
    seen: Seen,
    server: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn config(url: &str, timeout: Duration) -> SourceConfig {
    // Another test may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let headers = BTreeMap::from([("x-scope-orgid".to_owned(), "team".to_owned())]);
    SourceConfig { headers, timeout: timeout.into(), ..SourceConfig::new("main", url) }
}

async fn answer(
    State((reply, seen)): State<(Reply, Seen)>,
    uri: Uri,
    headers: Headers,
    body: Bytes,
) -> Answer<Body> {
    seen.lock().unwrap().push((uri.to_string(), headers, String::from_utf8(body.to_vec()).unwrap()));
    let begin = || stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"{\"status\":"))]);
    let (status, body) = match reply {
        Reply::Full(status, text) => (status, Body::from(text)),
        Reply::Endless => (
            200,
            Body::from_stream(stream::repeat_with(|| {
                Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 65536]))
            })),
        ),
        Reply::Stuck => (200, Body::from_stream(futures::StreamExt::chain(begin(), stream::pending()))),
        Reply::Broken => {
            let end = stream::iter([Err(std::io::Error::other("broken"))]);
            (200, Body::from_stream(futures::StreamExt::chain(begin(), end)))
        }
        Reply::Redirect => (302, Body::empty()),
    };
    Answer::builder().status(status).header("location", "/elsewhere").body(body).unwrap()
}

async fn fake(reply: Reply, timeout: Duration) -> Fake {
    let seen = Seen::default();
    let app = Router::new().fallback(answer).with_state((reply, Arc::clone(&seen)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/prefix", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    Fake { source: Source::new(&config(&url, timeout)).unwrap(), seen, server }
}

async fn outcome_of(reply: Reply) -> Outcome {
    fake(reply, Duration::from_secs(20)).await.source.measure(&plain("up"), Timestamp::UNIX_EPOCH).await
}

fn success(kind: &str, result: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#)
}

fn series(value: &str) -> String {
    format!(r#"{{"metric":{{"a":"b"}},"value":[1.5,"{value}"]}}"#)
}

fn class(outcome: &Outcome) -> Option<ErrorClass> {
    match outcome {
        Outcome::Error { class, .. } => Some(*class),
        _ => None,
    }
}

#[tokio::test]
async fn a_number_is_a_value_and_a_missing_number_is_no_data() {
    for (body, expected) in [
        (success("scalar", r#"[1.5,"0.25"]"#), Outcome::Value(0.25)),
        (success("scalar", r#"[1.5,"NaN"]"#), Outcome::NoData),
        (success("vector", "[]"), Outcome::NoData),
        (success("vector", &format!("[{}]", series("-1e3"))), Outcome::Value(-1000.0)),
        (success("vector", &format!("[{}]", series("NaN"))), Outcome::NoData),
        (success("vector", &format!("[{}]", series("+Inf"))), Outcome::NonFinite),
        (success("vector", &format!("[{}]", series("-Inf"))), Outcome::NonFinite),
        (
            success("scalar", r#"[1,"2"]"#).replacen('{', r#"{"infos":["i"],"warnings":null,"#, 1),
            Outcome::Value(2.0),
        ),
    ] {
        assert_eq!(outcome_of(Reply::Full(200, body.clone())).await, expected, "{body}");
    }
}

#[tokio::test]
async fn every_other_response_is_an_error_with_its_class() {
    let bad = r#"{"status":"error","errorType":"bad_data","error":"no such function"}"#;
    let two = format!("[{},{}]", series("1"), series("2"));
    let warned = success("vector", &two).replacen('{', r#"{"warnings":["a store is down"],"#, 1);
    let histogram = r#"[{"metric":{},"histogram":[1,{"count":"1"}]}]"#;
    for (status, body, expected, says) in [
        (200, success("vector", &two), ManySeries, "2 series"),
        (200, warned, Warnings, "a store is down"),
        (200, success("matrix", "[]"), WrongType, "matrix"),
        (200, success("string", r#"[1,"x"]"#), WrongType, "string"),
        (200, success("vector", histogram), WrongType, "histogram"),
        (200, success("scalar", r#"[1,"x"]"#), Unparsable, "sample"),
        (200, success("scalar", "[1]"), Unparsable, "sample"),
        (200, success("tensor", "[]"), Unparsable, "type"),
        (200, r#"{"status":"success"}"#.to_owned(), Unparsable, "no data"),
        (200, "<html>secret</html>".to_owned(), Unparsable, "format"),
        (200, String::new(), Unparsable, "format"),
        (200, bad.to_owned(), Refused, "no such function"),
        (400, bad.to_owned(), Refused, "HTTP 400: no such function"),
        (422, bad.to_owned(), Refused, "HTTP 422: no such function"),
        (404, "<html>secret</html>".to_owned(), Refused, "HTTP 404"),
        (401, bad.to_owned(), Auth, "HTTP 401"),
        (403, "<html>secret</html>".to_owned(), Auth, "HTTP 403"),
        (500, "<html>secret</html>".to_owned(), Server, "HTTP 500"),
        (503, bad.to_owned(), Server, "HTTP 503"),
        // A value in an error response is ignored.
        (500, success("scalar", r#"[1,"1"]"#), Server, "HTTP 500"),
    ] {
        let outcome = outcome_of(Reply::Full(status, body.clone())).await;
        assert_eq!(class(&outcome), Some(expected), "{status} {body}: {outcome:?}");
        let Outcome::Error { message, .. } = outcome else { panic!("no error") };
        assert!(message.contains(says) && !message.contains("secret"), "{status} {body}: {message}");
    }
}

#[tokio::test]
async fn a_long_error_message_is_cut() {
    let body = format!(r#"{{"status":"error","error":"{}"}}"#, "x".repeat(5000));
    let Outcome::Error { message, .. } = outcome_of(Reply::Full(400, body)).await else { panic!("no error") };
    assert_eq!(message.chars().count(), crate::analysis::reading::MESSAGE_LIMIT);
}

#[tokio::test]
async fn a_body_is_read_up_to_the_limit() {
    let padded = |length: usize| {
        let body = success("scalar", r#"[1,"1"]"#);
        let padding = " ".repeat(length - body.len());
        Reply::Full(200, body + &padding)
    };
    assert_eq!(outcome_of(padded(BODY_LIMIT)).await, Outcome::Value(1.0));
    assert_eq!(class(&outcome_of(padded(BODY_LIMIT + 1)).await), Some(TooLarge));
    assert_eq!(class(&outcome_of(Reply::Endless).await), Some(TooLarge));
}

#[tokio::test]
async fn the_timeout_includes_the_body() {
    let fake = fake(Reply::Stuck, Duration::from_millis(300)).await;
    let outcome = fake.source.measure(&plain("up"), Timestamp::UNIX_EPOCH).await;
    assert_eq!(class(&outcome), Some(Timeout), "{outcome:?}");
    assert_eq!(fake.seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_failed_connection_is_unreachable_and_its_message_has_no_url() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://user:hidden@{}", listener.local_addr().unwrap());
    drop(listener);
    let source = Source::new(&config(&url, Duration::from_secs(20))).unwrap();
    for outcome in
        [source.measure(&plain("up"), Timestamp::UNIX_EPOCH).await, outcome_of(Reply::Broken).await]
    {
        assert_eq!(class(&outcome), Some(ErrorClass::Unreachable), "{outcome:?}");
        assert!(
            !format!("{outcome:?}").contains("hidden") && !format!("{outcome:?}").contains("http:"),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let fake = fake(Reply::Redirect, Duration::from_secs(20)).await;
    let outcome = fake.source.measure(&plain("up"), Timestamp::UNIX_EPOCH).await;
    assert_eq!(class(&outcome), Some(Refused), "{outcome:?}");
    assert_eq!(fake.seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_query_has_its_time_in_milliseconds_and_the_headers() {
    let fake = fake(Reply::Full(200, success("vector", "[]")), Duration::from_secs(20)).await;
    let at: Timestamp = "2026-01-02T03:04:05.0678Z".parse().unwrap();
    fake.source.measure(&plain("up{a=\"b&c\"}"), at).await;
    let seen = fake.seen.lock().unwrap();
    let (uri, headers, body) = &seen[0];
    assert_eq!(uri, "/prefix/api/v1/query");
    assert_eq!(headers["x-scope-orgid"], "team");
    assert_eq!(
        body,
        "query=up%7Ba%3D%22b%26c%22%7D&time=1767323045.067&lookback_delta=120000ms&timeout=20000ms"
    );
}

#[test]
fn times_before_and_after_1970_have_three_decimals() {
    for (milliseconds, expected) in [(0, "0.000"), (1_005, "1.005"), (-500, "-0.500"), (-1_001, "-1.001")] {
        assert_eq!(seconds(Timestamp::from_millisecond(milliseconds).unwrap()), expected);
    }
}

#[test]
fn a_configuration_has_go_durations_and_its_debug_output_has_no_secrets() {
    let text =
        r#"{"name": "main", "url": "http://u:hidden@h", "headers": {"authorization": "Bearer hidden"}}"#;
    let mut read: SourceConfig = serde_json::from_str(text).unwrap();
    assert_eq!(Duration::from(read.timeout), Duration::from_secs(10));
    assert!(!format!("{read:?}").contains("hidden"));
    let timed = text.replacen('{', r#"{"timeout": "1m30s", "#, 1);
    read = serde_json::from_str(&timed).unwrap();
    assert_eq!(Duration::from(read.timeout), Duration::from_secs(90));
    assert!(serde_json::from_str::<SourceConfig>(&text.replacen('{', r#"{"proxy": "x", "#, 1)).is_err());
}

#[test]
fn an_invalid_configuration_is_refused() {
    let good = || config("http://prometheus:9090", Duration::from_secs(1));
    assert!(Source::new(&good()).is_ok());
    for url in ["", "prometheus:9090", "file:///etc/passwd", "ftp://host"] {
        let result = Source::new(&SourceConfig { url: url.to_owned(), ..good() });
        assert!(matches!(result, Err(SourceError::Url { .. })), "{url}");
    }
    for (key, value) in [("a b", "x"), ("a", "x\ny")] {
        let headers = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        let result = Source::new(&SourceConfig { headers, ..good() });
        assert!(matches!(result, Err(SourceError::Header { .. })), "{key}");
    }
    for timeout in ["0s", "-1s"] {
        let result = Source::new(&SourceConfig { timeout: timeout.parse().unwrap(), ..good() });
        assert!(matches!(result, Err(SourceError::Duration { field: "timeout", .. })), "{timeout}");
        let result = Source::new(&SourceConfig { max_sample_age: timeout.parse().unwrap(), ..good() });
        assert!(matches!(result, Err(SourceError::Duration { field: "maxSampleAge", .. })), "{timeout}");
    }
    let tls = |cert: Option<&Path>, ca: Option<&Path>| Tls {
        cert: cert.map(Path::to_owned),
        ca: ca.map(Path::to_owned),
        key: None,
    };
    let half = Source::new(&SourceConfig { tls: tls(Some(Path::new("/c")), None), ..good() });
    assert!(matches!(half, Err(SourceError::Half { .. })));
    let absent = Source::new(&SourceConfig { tls: tls(None, Some(Path::new("/no/such/ca"))), ..good() });
    assert!(matches!(absent, Err(SourceError::File { .. })));
    let scratch = Scratch::new("pem");
    let ca = scratch.write("ca.crt", "no certificate");
    let wrong = Source::new(&SourceConfig { tls: tls(None, Some(&ca)), ..good() });
    assert!(matches!(wrong, Err(SourceError::Pem { field: "ca", .. })));
}

/// A directory for the files of a test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("steelyard-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let file = self.0.join(name);
        std::fs::write(&file, content).unwrap();
        file
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn headers_from_files_are_sent_and_renewed_and_kept_when_the_files_are_deleted() {
    let scratch = Scratch::new("headers");
    scratch.write("Authorization", "Bearer one\n");
    let fake = fake(Reply::Full(200, success("vector", "[]")), Duration::from_secs(20)).await;
    let url = fake.source.0.config.url.clone();
    let from_files =
        SourceConfig { headers_from: Some(scratch.0.clone()), ..config(&url, Duration::from_secs(20)) };
    let source = Source::new(&from_files).unwrap();
    source.measure(&plain("up"), Timestamp::UNIX_EPOCH).await;
    scratch.write("Authorization", "Bearer two");
    source.measure(&plain("up"), Timestamp::UNIX_EPOCH).await;
    drop(scratch);
    source.measure(&plain("up"), Timestamp::UNIX_EPOCH).await;
    let seen = fake.seen.lock().unwrap();
    let sent: Vec<_> = seen.iter().map(|(_, headers, _)| headers["authorization"].clone()).collect();
    assert_eq!(sent, ["Bearer one", "Bearer two", "Bearer two"]);
    assert_eq!(seen[0].1["x-scope-orgid"], "team", "in addition to the headers of the configuration");
    assert!(!format!("{from_files:?}").contains("Bearer"));
}

async fn outcome_with(body: &str, terms: &Terms) -> Outcome {
    outcome_for(body, &with_terms(terms)).await
}

async fn outcome_for(body: &str, request: &Request) -> Outcome {
    let fake = fake(Reply::Full(200, body.to_owned()), Duration::from_secs(20)).await;
    fake.source.measure(request, Timestamp::UNIX_EPOCH).await
}

/// Returns a query with these terms.
fn with_terms(terms: &Terms) -> Request {
    Request { terms: terms.clone(), ..plain("up") }
}

#[tokio::test]
async fn several_series_are_reduced_as_the_policy_says() {
    let body = success("vector", &format!("[{},{},{}]", series("1"), series("4"), series("2")));
    for (how, expected) in [(Series::Max, 4.0), (Series::Min, 1.0), (Series::Sum, 7.0)] {
        let terms = Terms { series: how, ..Terms::default() };
        assert_eq!(outcome_with(&body, &terms).await, Outcome::Value(expected), "{how:?}");
    }
    assert_eq!(class(&outcome_with(&body, &Terms::default()).await), Some(ManySeries));
    let holes = success("vector", &format!("[{},{}]", series("1"), series("NaN")));
    let terms = Terms { series: Series::Max, ..Terms::default() };
    assert_eq!(
        outcome_with(&holes, &terms).await,
        Outcome::NoData,
        "a series without a number is not left out"
    );
}

#[tokio::test]
async fn a_number_from_too_few_requests_is_not_a_value() {
    let body = success("scalar", r#"[1.5,"40"]"#);
    let least = |least| Request {
        samples: Some(crate::policy::source::prometheus::Count { query: "count".to_owned(), least }),
        ..plain("up")
    };
    assert_eq!(outcome_for(&body, &least(40.0)).await, Outcome::Value(40.0));
    assert_eq!(outcome_for(&body, &least(41.0)).await, Outcome::TooFew { found: 40.0, wanted: 41.0 });
    let nothing = success("vector", "[]");
    assert_eq!(outcome_for(&nothing, &least(1.0)).await, Outcome::NoData);
}

#[tokio::test]
async fn a_policy_can_ignore_warnings_and_require_fresher_samples() {
    let warned = success("scalar", r#"[1,"2"]"#).replacen('{', r#"{"warnings":["a store is down"],"#, 1);
    assert_eq!(class(&outcome_with(&warned, &Terms::default()).await), Some(Warnings));
    let terms = Terms {
        warnings: OnWarnings::Ignore,
        max_sample_age: Some(Duration::from_secs(7)),
        timeout: Some(Duration::from_secs(3)),
        ..Terms::default()
    };
    let fake = fake(Reply::Full(200, warned), Duration::from_secs(20)).await;
    assert_eq!(fake.source.measure(&with_terms(&terms), Timestamp::UNIX_EPOCH).await, Outcome::Value(2.0));
    let (_, _, body) = fake.seen.lock().unwrap()[0].clone();
    assert!(body.ends_with("lookback_delta=7000ms&timeout=3000ms"), "{body}");
}

#[tokio::test]
async fn all_series_or_any_of_them_must_be_within_the_bounds() {
    let bounds = crate::analysis::Threshold { min: Some(2.0), max: Some(3.0) };
    let criterion = Some(crate::analysis::Criterion::Threshold(bounds));
    let nan = Outcome::NoData;
    let infinite = Outcome::NonFinite;
    for (how, values, expected) in [
        (Series::All, ["2", "3", "2.5"], Outcome::Value(2.0)),
        (Series::All, ["2", "4", "2.5"], Outcome::Value(4.0)),
        (Series::All, ["NaN", "1", "2"], Outcome::Value(1.0)),
        (Series::All, ["2", "NaN", "2"], nan.clone()),
        (Series::All, ["2", "2", "+Inf"], infinite),
        (Series::Any, ["1", "2.5", "9"], Outcome::Value(2.5)),
        (Series::Any, ["NaN", "1", "3"], Outcome::Value(3.0)),
        (Series::Any, ["1", "9", "8"], Outcome::Value(1.0)),
        (Series::Any, ["1", "9", "NaN"], nan),
    ] {
        let body = success("vector", &format!("[{}]", values.map(series).join(",")));
        let terms = Terms { series: how, criterion, ..Terms::default() };
        assert_eq!(outcome_with(&body, &terms).await, expected, "{how:?} {values:?}");
    }
    let one = success("vector", &format!("[{}]", series("7")));
    let terms = Terms { series: Series::All, criterion, ..Terms::default() };
    assert_eq!(outcome_with(&one, &terms).await, Outcome::Value(7.0));
}
