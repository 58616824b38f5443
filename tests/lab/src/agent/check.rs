//! Probes a container and runs its `preStop` handler.

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, ExecAction, HTTPGetAction, Probe, TCPSocketAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

/// Where a running container is reached.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Its pod's address.
    pub(crate) ip: Ipv4Addr,
    /// Its main process; commands run in that process's view of the file system.
    pub(crate) process: i32,
    /// Its environment.
    pub(crate) env: std::collections::BTreeMap<String, String>,
    /// Its spec, for named ports.
    pub(crate) spec: std::sync::Arc<Container>,
}

impl Target {
    /// Runs `probe` once, for at most `limit`. The error says what failed.
    pub(crate) async fn probe(
        &self,
        http: &reqwest::Client,
        probe: &Probe,
        limit: Duration,
    ) -> Result<(), String> {
        let probed = async {
            if let Some(get) = &probe.http_get {
                self.get(http, get).await
            } else if let Some(tcp) = &probe.tcp_socket {
                self.connect(tcp).await
            } else if let Some(exec) = &probe.exec {
                self.run(exec).await
            } else {
                Err("this kind of probe is not supported".to_owned())
            }
        };
        timeout(limit, probed).await.unwrap_or_else(|_| Err(format!("no answer within {limit:?}")))
    }

    /// Sends an HTTP request; a status code from 200 to 399 passes.
    pub(crate) async fn get(&self, http: &reqwest::Client, get: &HTTPGetAction) -> Result<(), String> {
        let port = self.port(&get.port)?;
        let scheme = get.scheme.as_deref().unwrap_or("HTTP").to_lowercase();
        let host = get.host.clone().filter(|host| !host.is_empty()).unwrap_or_else(|| self.ip.to_string());
        let path = get.path.as_deref().unwrap_or("/").trim_start_matches('/');
        let mut request = http.get(format!("{scheme}://{host}:{port}/{path}"));
        for header in get.http_headers.iter().flatten() {
            request = request.header(&header.name, &header.value);
        }
        match request.send().await {
            Ok(answer) if (200..400).contains(&answer.status().as_u16()) => Ok(()),
            Ok(answer) => Err(format!("HTTP probe failed with statuscode: {}", answer.status().as_u16())),
            Err(error) => Err(cause(&error)),
        }
    }

    async fn connect(&self, tcp: &TCPSocketAction) -> Result<(), String> {
        let port = self.port(&tcp.port)?;
        let host = tcp.host.clone().filter(|host| !host.is_empty()).unwrap_or_else(|| self.ip.to_string());
        TcpStream::connect((host, port)).await.map(drop).map_err(|error| error.to_string())
    }

    /// Runs a command in the container's view of the file system; exit code 0 passes.
    pub(crate) async fn run(&self, exec: &ExecAction) -> Result<(), String> {
        let output = Command::new(super::process::tool("nsenter").map_err(|error| error.to_string())?)
            .args(["--target", &self.process.to_string(), "--mount", "--root", "--wd", "--"])
            .args(exec.command.iter().flatten())
            .env_clear()
            .envs(&self.env)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        let output_text = [output.stdout, output.stderr].concat();
        Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output_text).trim_end()))
    }

    /// Returns a port by number, or by its name among the container's ports.
    fn port(&self, port: &IntOrString) -> Result<u16, String> {
        port_of(&self.spec, port).ok_or_else(|| format!("no port {port:?}"))
    }
}

fn port_of(container: &Container, port: &IntOrString) -> Option<u16> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => {
            let mut ports = container.ports.iter().flatten();
            match ports.find(|port| port.name.as_deref() == Some(name)) {
                Some(port) => port.container_port,
                None => name.parse().ok()?,
            }
        }
    };
    u16::try_from(number).ok().filter(|&number| number > 0)
}

/// Returns the innermost cause: "connection refused" rather than "error sending request".
fn cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_found_by_number_and_by_name() {
        let container: Container = serde_json::from_value(serde_json::json!({
            "name": "app", "ports": [{"name": "http", "containerPort": 8080}, {"containerPort": 9090}],
        }))
        .unwrap();
        let find = |port| port_of(&container, &port);
        assert_eq!(find(IntOrString::Int(81)), Some(81));
        assert_eq!(find(IntOrString::String("http".into())), Some(8080));
        assert_eq!(find(IntOrString::String("82".into())), Some(82));
        assert_eq!(find(IntOrString::String("grpc".into())), None);
        assert_eq!(find(IntOrString::Int(70_000)), None);
    }
}
