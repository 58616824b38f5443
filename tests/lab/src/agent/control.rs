//! Faults on command: a Unix socket that takes one JSON line per connection and answers with one.
//!
//! `{"fault":"kill","pod":"shop/web-1"}` is answered by `{"ok":true}` or `{"error":"..."}`.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

/// The longest request, in bytes.
const LONGEST: u64 = 64 * 1024;

/// What can go wrong with a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Its processes are killed at once; the restart policy applies.
    Kill,
    /// Its processes are stopped (SIGSTOP): they hold their connections and answer nothing.
    Freeze,
    /// They go on.
    Thaw,
    /// It is reported as not ready, whatever its probes say.
    Unready,
    /// Its probes count again.
    Ready,
}

/// A request to the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Request {
    /// A fault of one pod.
    Pod {
        /// Which fault.
        fault: Fault,
        /// Which pod: `NAMESPACE/NAME`.
        pod: String,
    },
    /// A fault of the whole node.
    Node {
        /// Which fault.
        fault: NodeFault,
    },
}

/// What can go wrong with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeFault {
    /// It sends no heartbeat and reports nothing; its pods run on.
    LoseNode,
    /// It reports again.
    ReturnNode,
}

/// Why a request was not carried out.
#[derive(Debug, Error)]
pub enum ControlError {
    /// Nobody listens.
    #[error("no node agent at {path}")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The agent did not answer.
    #[error("the node agent did not answer")]
    Answer(#[source] io::Error),
    /// The agent refused.
    #[error("{0}")]
    Refused(String),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    Ok(bool),
    Error(String),
}

/// A request and where its answer goes.
pub(crate) type Asked = (Request, oneshot::Sender<Result<(), String>>);

/// Has the agent that listens at `socket` carry out a request, and waits until it has.
pub async fn send(socket: &Path, request: &Request) -> Result<(), ControlError> {
    let connect = |source| ControlError::Connect { path: socket.to_path_buf(), source };
    let mut stream = UnixStream::connect(socket).await.map_err(connect)?;
    let talk = async {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        stream.write_all(&line).await?;
        let mut answer = String::new();
        BufReader::new(&mut stream).take(LONGEST).read_line(&mut answer).await?;
        Ok(serde_json::from_str(&answer)?)
    };
    match talk.await.map_err(ControlError::Answer)? {
        Answer::Ok(_) => Ok(()),
        Answer::Error(why) => Err(ControlError::Refused(why)),
    }
}

/// Listens at `socket` (replacing one that an earlier agent left) and hands requests to `queue`.
pub(crate) fn listen(socket: &Path, queue: mpsc::Sender<Asked>) -> io::Result<()> {
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(socket)?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let queue = queue.clone();
            tokio::spawn(async move {
                if let Err(error) = serve(stream, queue).await {
                    tracing::debug!(%error, "a control connection broke");
                }
            });
        }
    });
    Ok(())
}

async fn serve(mut stream: UnixStream, queue: mpsc::Sender<Asked>) -> io::Result<()> {
    let mut line = String::new();
    BufReader::new(&mut stream).take(LONGEST).read_line(&mut line).await?;
    let done = match serde_json::from_str(&line) {
        Err(error) => Err(format!("not understood: {error}")),
        Ok(request) => {
            let (sender, answer) = oneshot::channel();
            match queue.send((request, sender)).await {
                Ok(()) => answer.await.unwrap_or_else(|_| Err("it ended before it answered".to_owned())),
                Err(_) => Err("the agent is ending".to_owned()),
            }
        }
    };
    let answer = done.map_or_else(Answer::Error, |()| Answer::Ok(true));
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    stream.write_all(&line).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_single_flat_objects() {
        for (text, request) in [
            (r#"{"fault":"kill","pod":"a/b"}"#, Request::Pod { fault: Fault::Kill, pod: "a/b".into() }),
            (r#"{"fault":"unready","pod":"a/b"}"#, Request::Pod { fault: Fault::Unready, pod: "a/b".into() }),
            (r#"{"fault":"lose-node"}"#, Request::Node { fault: NodeFault::LoseNode }),
        ] {
            assert_eq!(serde_json::from_str::<Request>(text).unwrap(), request);
            assert_eq!(serde_json::to_string(&request).unwrap(), text);
        }
        assert!(serde_json::from_str::<Request>(r#"{"fault":"kill"}"#).is_err(), "a pod's fault needs a pod");
    }

    #[tokio::test]
    async fn a_request_is_handed_over_and_its_answer_comes_back() {
        let socket = std::env::temp_dir().join(format!("lab-control-{}.sock", std::process::id()));
        let (queue, mut asked) = mpsc::channel(1);
        listen(&socket, queue).unwrap();
        tokio::spawn(async move {
            while let Some((request, answer)) = asked.recv().await {
                let known = matches!(request, Request::Pod { pod, .. } if pod == "a/b");
                let _ = answer.send(if known { Ok(()) } else { Err("no such pod".into()) });
            }
        });
        let request = |pod: &str| Request::Pod { fault: Fault::Freeze, pod: pod.into() };
        send(&socket, &request("a/b")).await.unwrap();
        assert_eq!(send(&socket, &request("a/c")).await.unwrap_err().to_string(), "no such pod");
        std::fs::remove_file(&socket).unwrap();
        assert!(matches!(send(&socket, &request("a/b")).await, Err(ControlError::Connect { .. })));
    }
}
