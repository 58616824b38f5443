//! The demo app's settings, read from its environment.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use thiserror::Error;

/// The demo app's settings, parsed once.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Address to listen on: `POD_IP` (default 127.0.0.1) and `PORT` (default 8080; 0 selects any
    /// free port).
    pub listen: SocketAddr,
    /// The version that it reports: `VERSION`, else `LAB_IMAGE_TAG`, else `dev`.
    pub version: String,
    /// The pod it runs in: `POD_NAME`, else `HOSTNAME`, else `local`.
    pub pod: String,
    /// Share of requests answered with 500, in millionths: `ERROR_RATE` (0..=1). If only
    /// `ERRORS_ABOVE_RPS` is set, every request fails once that limit is exceeded.
    pub error_ppm: u32,
    /// `ERRORS_ABOVE_RPS`: errors begin once there are more than this many requests within one
    /// second. They do not stop when the load falls: a fault that depends on the current load would
    /// measure the load.
    pub errors_above_rps: Option<u32>,
    /// `LATENCY`: the delay of each answer.
    pub latency: Duration,
    /// `START_DELAY`: how long `/healthz` answers 503 after the start.
    pub start_delay: Duration,
    /// `CRASH_AFTER`: time from the start until the app exits with code 1.
    pub crash_after: Option<Duration>,
}

/// The error for a variable that can't be parsed.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{name}={value}: expected {expected}")]
pub struct SettingsError {
    /// The variable.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// The accepted values.
    pub expected: &'static str,
}

impl Settings {
    /// Reads the settings through `var`, which returns a variable's value. An empty value counts as
    /// unset.
    ///
    /// # Errors
    ///
    /// Returns an error for the first value that can't be parsed.
    pub fn read(var: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let get = |name: &str| var(name).filter(|value| !value.is_empty());
        let ip = parse(&get, "POD_IP", "an IP address", |text| text.parse::<IpAddr>().ok())?;
        let port = parse(&get, "PORT", "a port, 0 to 65535", |text| text.parse::<u16>().ok())?;
        let rate = parse(&get, "ERROR_RATE", "a share from 0 to 1, such as 0.1", share)?;
        let above = parse(&get, "ERRORS_ABOVE_RPS", "a whole number of requests per second", |text| {
            text.parse().ok()
        })?;
        let time = |name| parse(&get, name, "a duration, such as 50ms or 2s", duration);
        Ok(Self {
            listen: SocketAddr::new(ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), port.unwrap_or(8080)),
            version: get("VERSION").or_else(|| get("LAB_IMAGE_TAG")).unwrap_or_else(|| "dev".into()),
            pod: get("POD_NAME").or_else(|| get("HOSTNAME")).unwrap_or_else(|| "local".into()),
            error_ppm: rate.unwrap_or(if above.is_some() { 1_000_000 } else { 0 }),
            errors_above_rps: above,
            latency: time("LATENCY")?.unwrap_or_default(),
            start_delay: time("START_DELAY")?.unwrap_or_default(),
            crash_after: time("CRASH_AFTER")?,
        })
    }
}

fn parse<T>(
    get: &impl Fn(&str) -> Option<String>,
    name: &'static str,
    expected: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, SettingsError> {
    match get(name) {
        None => Ok(None),
        Some(value) => match read(&value) {
            Some(parsed) => Ok(Some(parsed)),
            None => Err(SettingsError { name, value, expected }),
        },
    }
}

fn share(text: &str) -> Option<u32> {
    let share: f64 = text.parse().ok()?;
    // The range check also rejects NaN; within the range the product fits.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    (0.0..=1.0).contains(&share).then(|| (share * 1e6).round() as u32)
}

fn duration(text: &str) -> Option<Duration> {
    let parsed: jiff::SignedDuration = text.parse().ok()?;
    Duration::try_from(parsed).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::read(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn an_empty_environment_gives_a_healthy_app() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.listen, "127.0.0.1:8080".parse().unwrap());
        assert_eq!((settings.error_ppm, settings.errors_above_rps), (0, None));
        assert_eq!(settings.version, "dev");
    }

    #[test]
    fn the_version_is_the_image_tag_unless_it_is_set() {
        assert_eq!(read(&[("LAB_IMAGE_TAG", "v2")]).unwrap().version, "v2");
        assert_eq!(read(&[("LAB_IMAGE_TAG", "v2"), ("VERSION", "v3")]).unwrap().version, "v3");
    }

    #[test]
    fn every_variable_is_parsed() {
        let settings = read(&[
            ("POD_IP", "10.244.0.9"),
            ("PORT", "81"),
            ("POD_NAME", "web-1"),
            ("ERROR_RATE", "0.125"),
            ("ERRORS_ABOVE_RPS", "30"),
            ("LATENCY", "50ms"),
            ("START_DELAY", "2s"),
            ("CRASH_AFTER", "1m30s"),
        ])
        .unwrap();
        assert_eq!(settings.listen, "10.244.0.9:81".parse().unwrap());
        assert_eq!((settings.error_ppm, settings.errors_above_rps), (125_000, Some(30)));
        assert_eq!(settings.latency, Duration::from_millis(50));
        assert_eq!(settings.start_delay, Duration::from_secs(2));
        assert_eq!(settings.crash_after, Some(Duration::from_secs(90)));
        assert_eq!(settings.pod, "web-1");
    }

    #[test]
    fn a_load_limit_alone_makes_every_request_fail_once_exceeded() {
        assert_eq!(read(&[("ERRORS_ABOVE_RPS", "5")]).unwrap().error_ppm, 1_000_000);
    }

    #[test]
    fn errors_name_the_invalid_value_and_what_is_expected() {
        for (name, value) in [
            ("ERROR_RATE", "1.5"),
            ("ERROR_RATE", "NaN"),
            ("ERROR_RATE", "10%"),
            ("ERRORS_ABOVE_RPS", "-1"),
            ("LATENCY", "fast"),
            ("LATENCY", "-1s"),
            ("POD_IP", "pod"),
            ("PORT", "70000"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert_eq!((error.name, error.value.as_str()), (name, value));
            assert!(error.to_string().starts_with(&format!("{name}={value}: expected ")), "{error}");
        }
    }
}
