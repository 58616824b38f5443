//! The request to a webhook: its body, and the headers that sign it.

use hmac::{Hmac, Mac as _};
use jiff::Timestamp;
use serde_json::json;
use sha2::Sha256;

use super::Format;
use crate::engine::{Moment, Question};

/// The body and headers of a request.
pub(super) struct Message {
    pub(super) body: Vec<u8>,
    pub(super) headers: Vec<(&'static str, String)>,
}

/// Returns the request for a question, signed for time `now`.
pub(super) fn write(format: Format, question: &Question, key: Option<&[u8]>, now: Timestamp) -> Message {
    let body = match format {
        Format::Steelyard => json!(question).to_string(),
        Format::Flagger => as_flagger(question).to_string(),
    };
    let (body, time) = (body.into_bytes(), now.as_second().to_string());
    let mut headers = vec![
        ("content-type", "application/json".to_owned()),
        ("user-agent", concat!("steelyard/", env!("CARGO_PKG_VERSION")).to_owned()),
        ("x-steelyard-id", question.id.clone()),
        ("x-steelyard-timestamp", time.clone()),
    ];
    if let Some(signature) = key.and_then(|key| signature(key, &time, &body)) {
        headers.push(("x-steelyard-signature", signature));
    }
    Message { body, headers }
}

/// Returns the signature of the body and its time: HMAC-SHA-256 over the time, a dot, and the body.
fn signature(key: &[u8], time: &str, body: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    Some(format!("sha256={:x}", mac.finalize().into_bytes()))
}

/// Returns the body that Flagger sends to a gate; the phase depends on whether the gate is before,
/// between or after the weights.
fn as_flagger(question: &Question) -> serde_json::Value {
    let phase = match question.moment {
        Moment::First => "Waiting",
        Moment::Between => "Progressing",
        Moment::Last => "WaitingPromotion",
    };
    json!({
        "name": question.deployment,
        "namespace": question.namespace,
        "phase": phase,
        "checksum": question.revision,
        "metadata": question.metadata,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> Question {
        Question {
            id: "0abc-1-2-1".into(),
            namespace: "shop".into(),
            deployment: "web".into(),
            revision: "0abc".into(),
            step: 2,
            steps: 3,
            weight: crate::traffic::Weight::percent(25),
            metadata: [("team".to_owned(), "a".to_owned())].into(),
            ..Question::default()
        }
    }

    #[test]
    fn the_signature_equals_that_of_openssl() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac key
        let signature = signature(b"key", "1700000000", b"{\"a\":1}").unwrap();
        assert_eq!(signature, "sha256=a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03");
    }

    #[test]
    fn requests_are_signed_only_with_a_key_and_always_name_their_attempt() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let named = |message: &Message, name: &str| {
            message.headers.iter().find(|(header, _)| *header == name).map(|(_, value)| value.clone())
        };
        let plain = write(Format::Steelyard, &question(), None, now);
        assert_eq!(named(&plain, "x-steelyard-signature"), None);
        assert_eq!(named(&plain, "x-steelyard-id").as_deref(), Some("0abc-1-2-1"));
        let signed = write(Format::Steelyard, &question(), Some(b"key"), now);
        assert_eq!(signed.body, plain.body);
        assert_eq!(named(&signed, "x-steelyard-timestamp").as_deref(), Some("1700000000"));
        assert!(named(&signed, "x-steelyard-signature").is_some());
    }

    #[test]
    fn the_flagger_format_has_the_fields_of_flagger() {
        let body = |moment| as_flagger(&Question { moment, ..question() });
        assert_eq!(
            body(Moment::Between),
            json!({"name": "web", "namespace": "shop", "phase": "Progressing", "checksum": "0abc", "metadata": {"team": "a"}})
        );
        assert_eq!(body(Moment::First)["phase"], "Waiting");
        assert_eq!(body(Moment::Last)["phase"], "WaitingPromotion");
    }
}
