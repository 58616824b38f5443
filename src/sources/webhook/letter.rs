//! What is sent to an endpoint: its body, and the headers that sign it.

use hmac::{Hmac, Mac as _};
use jiff::Timestamp;
use serde_json::json;
use sha2::Sha256;

use super::Format;
use crate::engine::{Moment, Question};

/// A body and its headers.
pub(super) struct Letter {
    pub(super) body: Vec<u8>,
    pub(super) headers: Vec<(&'static str, String)>,
}

/// The letter that asks this, at this time.
pub(super) fn write(format: Format, question: &Question, key: Option<&[u8]>, now: Timestamp) -> Letter {
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
    Letter { body, headers }
}

/// What proves who sent this body, and when: HMAC-SHA-256 over the time, a dot, and the body.
fn signature(key: &[u8], time: &str, body: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    Some(format!("sha256={:x}", mac.finalize().into_bytes()))
}

/// As Flagger tells a gate of its own: before any traffic, between two weights, and after the last one.
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
            weight: 25,
            metadata: [("team".to_owned(), "a".to_owned())].into(),
            ..Question::default()
        }
    }

    #[test]
    fn the_signature_is_what_other_tools_make_of_time_dot_and_body() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac key
        let signature = signature(b"key", "1700000000", b"{\"a\":1}").unwrap();
        assert_eq!(signature, "sha256=a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03");
    }

    #[test]
    fn only_who_has_a_key_signs_and_every_letter_names_its_attempt() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let named = |letter: &Letter, name: &str| {
            letter.headers.iter().find(|(header, _)| *header == name).map(|(_, value)| value.clone())
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
    fn flagger_s_gates_read_what_flagger_sends() {
        let told = |moment| as_flagger(&Question { moment, ..question() });
        assert_eq!(
            told(Moment::Between),
            json!({"name": "web", "namespace": "shop", "phase": "Progressing", "checksum": "0abc", "metadata": {"team": "a"}})
        );
        assert_eq!(told(Moment::First)["phase"], "Waiting");
        assert_eq!(told(Moment::Last)["phase"], "WaitingPromotion");
    }
}
