//! The plan of a load: what to send, and where.

use std::net::SocketAddr;
use std::time::Duration;

use http::Uri;
use thiserror::Error;

/// A load to run. Created by [`Plan::new`], refined by its other methods.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Address to connect to.
    pub address: SocketAddr,
    /// The `Host` header.
    pub host: String,
    /// Path and query.
    pub path: String,
    /// Requests per second, above 0.
    pub rate: f64,
    /// Share of the requests on kept-alive connections, 0 to 1; the others use a new connection
    /// each.
    pub kept_alive_share: f64,
    /// Number of connections kept alive. More are opened while all of them are busy.
    pub connections: usize,
    /// Timeout of a request, including connecting.
    pub timeout: Duration,
    /// The protocol.
    pub protocol: Protocol,
}

/// The protocol of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// GET requests over HTTP/1.1.
    Http,
    /// Unary gRPC calls with the path as the method, over HTTP/2 without TLS.
    Grpc,
}

/// The error for a target that can't be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PlanError {
    /// Not a URL.
    #[error("{0:?} is not a URL such as http://192.0.2.10:8000")]
    Url(String),
    /// The URL's host is not an IP address: there is no name service in the lab.
    #[error("{0:?} must have scheme http and an IP address")]
    Address(String),
}

impl Plan {
    /// Returns a plan of `rate` requests per second to `target`, a URL with an IP address
    /// (`http://192.0.2.10:8000/path`): half of them on 8 kept-alive connections, with a timeout of
    /// 2 s.
    pub fn new(target: &str, rate: f64) -> Result<Self, PlanError> {
        let uri: Uri = target.parse().map_err(|_| PlanError::Url(target.to_owned()))?;
        let refused = || PlanError::Address(target.to_owned());
        let authority = uri.authority().ok_or_else(|| PlanError::Url(target.to_owned()))?;
        if uri.scheme_str() != Some("http") {
            return Err(refused());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let ip = host.parse().map_err(|_| refused())?;
        Ok(Self {
            address: SocketAddr::new(ip, authority.port_u16().unwrap_or(80)),
            host: authority.as_str().to_owned(),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            rate,
            kept_alive_share: 0.5,
            connections: 8,
            timeout: Duration::from_secs(2),
            protocol: Protocol::Http,
        })
    }

    /// Sets the `Host` header, by which a Gateway routes.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// Sets the share (0 to 1) of the requests on kept-alive connections.
    #[must_use]
    pub fn kept_alive(mut self, share: f64) -> Self {
        self.kept_alive_share = share;
        self
    }

    /// Calls this gRPC method, such as `/demo.Demo/Work`.
    #[must_use]
    pub fn grpc(mut self, method: &str) -> Self {
        method.clone_into(&mut self.path);
        self.protocol = Protocol::Grpc;
        self
    }

    /// Sets the timeout of a request.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Returns when request `n` (from 0) is due, counted from the start.
    pub(crate) fn due(&self, n: u64) -> Duration {
        // Exact up to 2^52 requests.
        #[allow(clippy::cast_precision_loss)]
        Duration::from_secs_f64(n as f64 / self.rate)
    }

    /// Returns whether request `n` (from 0) uses a kept-alive connection; these are evenly spread.
    pub(crate) fn keeps_alive(&self, n: u64) -> bool {
        #[allow(clippy::cast_precision_loss)]
        let upto = |n: u64| (n as f64 * self.kept_alive_share).floor();
        upto(n + 1) > upto(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_an_address_a_host_and_a_path() {
        let plan = Plan::new("http://192.0.2.10:8000/a?b=c", 100.0).unwrap();
        assert_eq!(plan.address, "192.0.2.10:8000".parse().unwrap());
        assert_eq!((plan.host.as_str(), plan.path.as_str()), ("192.0.2.10:8000", "/a?b=c"));
        let plan = Plan::new("http://10.96.0.7", 100.0).unwrap().host("web.example");
        assert_eq!(plan.address, "10.96.0.7:80".parse().unwrap());
        assert_eq!((plan.host.as_str(), plan.path.as_str()), ("web.example", "/"));
    }

    #[test]
    fn host_names_and_other_schemes_are_rejected() {
        assert!(matches!(Plan::new("http://web.default/", 1.0), Err(PlanError::Address(_))));
        assert!(matches!(Plan::new("https://10.96.0.7/", 1.0), Err(PlanError::Address(_))));
        assert!(matches!(Plan::new("/just/a/path", 1.0), Err(PlanError::Url(_))));
    }

    #[test]
    fn requests_are_due_at_a_constant_rate() {
        let plan = Plan::new("http://10.0.0.1", 200.0).unwrap();
        assert_eq!(plan.due(0), Duration::ZERO);
        assert_eq!(plan.due(300), Duration::from_millis(1500));
    }

    #[test]
    fn kept_alive_requests_are_spread_evenly() {
        let picked = |share: f64, n: u64| -> Vec<u64> {
            let plan = Plan::new("http://10.0.0.1", 1.0).unwrap().kept_alive(share);
            (0..n).filter(|&i| plan.keeps_alive(i)).collect()
        };
        assert_eq!(picked(0.5, 8), [1, 3, 5, 7]);
        assert_eq!(picked(0.25, 8), [3, 7]);
        assert_eq!(picked(0.0, 100).len(), 0);
        assert_eq!(picked(1.0, 100).len(), 100);
    }
}
