//! Tests with a webhook on a local socket.

use std::io::Write as _;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;

/// Starts a server that answers one call with this text. Returns its URL and a task that returns
/// the request.
async fn once(answer: &'static str) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/gate", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut read = vec![0; 65536];
        let mut length = 0;
        while !String::from_utf8_lossy(&read[..length]).contains("}\u{0}") && length < read.len() {
            let more = stream.read(&mut read[length..]).await.unwrap();
            length += more;
            if more == 0 || read[..length].ends_with(b"}") {
                break;
            }
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        if answer.is_empty() {
            // Sends nothing until the client closes the connection.
            let _ = stream.read(&mut [0; 1]).await;
        }
        String::from_utf8_lossy(&read[..length]).into_owned()
    });
    (url, task)
}

fn at(url: &str) -> WebhookConfig {
    let text = format!("{{\"name\": \"desk\", \"url\": \"{url}\", \"timeout\": \"2s\"}}");
    serde_json::from_str(&text).unwrap()
}

async fn call_webhook(config: WebhookConfig) -> (Approval, String) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let question = Question { id: "an-id".into(), deployment: "web".into(), ..Question::default() };
    Webhooks::new(&[config]).unwrap().ask("desk", &question).await
}

#[tokio::test]
async fn any_2xx_status_is_a_yes_and_its_text_is_reported() {
    let (url, call) = once("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(call_webhook(at(&url)).await, (Approval::Approved, "HTTP 204 No Content".to_owned()));
    let call = call.await.unwrap();
    assert!(call.starts_with("POST /gate HTTP/1.1\r\n") && call.contains("\"deployment\":\"web\""), "{call}");
    let (url, _) = once("HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\nticket 17\nby b").await;
    assert_eq!(call_webhook(at(&url)).await, (Approval::Approved, "HTTP 200 OK: ticket 17 by b".to_owned()));
}

#[tokio::test]
async fn a_redirect_is_a_no_and_is_not_followed() {
    let (url, _) =
        once("HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n")
            .await;
    let message = "HTTP 307 Temporary Redirect (redirects are not followed)".to_owned();
    assert_eq!(call_webhook(at(&url)).await, (Approval::Refused, message));
}

#[tokio::test]
async fn a_timeout_and_a_refused_connection_are_a_no_and_the_message_has_no_url() {
    let (url, call) = once("").await;
    let hasty = WebhookConfig { timeout: Duration::from_millis(200).into(), ..at(&url) };
    assert_eq!(call_webhook(hasty).await, (Approval::Refused, "no answer within 200ms".to_owned()));
    call.abort();
    let (approval, message) = call_webhook(at("http://user:secret@127.0.0.1:1/gate")).await;
    assert!(
        approval == Approval::Refused && message.contains("refused") && !message.contains("secret"),
        "{message}"
    );
}

#[tokio::test]
async fn a_status_counts_even_if_the_body_never_ends() {
    let (url, _) = once("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nyes").await;
    assert_eq!(call_webhook(at(&url)).await.0, Approval::Approved);
}

#[tokio::test]
async fn a_webhook_without_configuration_or_key_is_not_called() {
    let question = Question::default();
    let (approval, message) = Webhooks::default().ask("desk", &question).await;
    assert_eq!(approval, Approval::NotCalled);
    assert!(message.contains("no webhook named desk"), "{message}");

    let _ = rustls::crypto::ring::default_provider().install_default();
    let path = std::env::temp_dir().join(format!("steelyard-key-{}", std::process::id()));
    std::fs::File::create(&path).unwrap().write_all(b"a key\n").unwrap();
    let config = WebhookConfig { key_file: Some(path.clone()), ..at("http://127.0.0.1:1/") };
    assert_eq!(config.key().unwrap().as_deref(), Some(&b"a key"[..]));
    let all = Webhooks::new(std::slice::from_ref(&config)).unwrap();
    std::fs::write(&path, "\n").unwrap();
    assert!(matches!(Webhooks::new(&[config]), Err(WebhookError::Empty { .. })));
    std::fs::remove_file(&path).unwrap();
    let (approval, message) = all.ask("desk", &question).await;
    assert_eq!(approval, Approval::NotCalled);
    assert!(message.contains("can't read keyFile"), "{message}");
}

#[test]
fn a_long_response_is_cut_and_has_no_control_characters() {
    assert_eq!(one_line("a\u{1b}[31m b\r\nc"), "a [31m b c");
    let line = one_line(&"ä".repeat(300));
    assert_eq!(line.chars().count(), 201);
}
