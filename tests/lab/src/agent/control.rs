//! Injects faults on request: a Unix socket that accepts one line of JSON per connection and
//! answers with one line.
//!
//! The answer to `{"fault":"kill","pod":"shop/web-1"}` is `{"ok":true}` or `{"error":"..."}`.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

/// The maximum length of a request, in bytes.
const LONGEST: u64 = 64 * 1024;

/// A fault of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Kills its processes at once; the restart policy applies.
    Kill,
    /// Stops its processes (SIGSTOP): they keep their connections and answer nothing.
    Freeze,
    /// Resumes its processes.
    Thaw,
    /// Reports the pod as not ready, whatever its probes return.
    Unready,
    /// Reports the result of its probes again.
    Ready,
}

/// A request to the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Request {
    /// A fault of one pod.
    Pod {
        /// The fault.
        fault: Fault,
        /// The pod: `NAMESPACE/NAME`.
        pod: String,
    },
    /// A fault of the whole node.
    Node {
        /// The fault.
        fault: NodeFault,
    },
}

/// A fault of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeFault {
    /// Sends no heartbeat and reports nothing; the pods keep running.
    LoseNode,
    /// Reports again.
    ReturnNode,
}

/// Why a request was not carried out.
#[derive(Debug, Error)]
pub enum ControlError {
    /// Nothing listens on the socket.
    #[error("no node agent listens on {path}")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The agent did not answer.
    #[error("the node agent did not answer")]
    Answer(#[source] io::Error),
    /// The agent refused the request.
    #[error("{0}")]
    Refused(String),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    Ok(bool),
    Error(String),
}

/// A request and the channel for its answer.
pub(crate) type PendingRequest = (Request, oneshot::Sender<Result<(), String>>);

/// Sends a request to the agent that listens on `socket`, and waits until it is carried out.
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

/// Listens on `socket` (replacing the one of an earlier agent) and passes requests to `queue`.
pub(crate) fn listen(socket: &Path, queue: mpsc::Sender<PendingRequest>) -> io::Result<()> {
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
                    tracing::debug!(%error, "a control connection failed");
                }
            });
        }
    });
    Ok(())
}

async fn serve(mut stream: UnixStream, queue: mpsc::Sender<PendingRequest>) -> io::Result<()> {
    let mut line = String::new();
    BufReader::new(&mut stream).take(LONGEST).read_line(&mut line).await?;
    let done = match serde_json::from_str(&line) {
        Err(error) => Err(format!("invalid request: {error}")),
        Ok(request) => {
            let (sender, answer) = oneshot::channel();
            match queue.send((request, sender)).await {
                Ok(()) => answer
                    .await
                    .unwrap_or_else(|_| Err("the pod ended before the fault was injected".to_owned())),
                Err(_) => Err("the agent is stopping".to_owned()),
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
        assert!(
            serde_json::from_str::<Request>(r#"{"fault":"kill"}"#).is_err(),
            "a fault of a pod needs a pod"
        );
    }

    #[tokio::test]
    async fn a_request_is_passed_on_and_its_answer_returned() {
        let socket = std::env::temp_dir().join(format!("lab-control-{}.sock", std::process::id()));
        let (queue, mut requests) = mpsc::channel(1);
        listen(&socket, queue).unwrap();
        tokio::spawn(async move {
            while let Some((request, answer)) = requests.recv().await {
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
