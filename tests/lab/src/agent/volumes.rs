//! A pod's volumes: directories on the machine, filled from the API when the pod starts. Tokens are
//! renewed before they expire; other content stays as it was (kubelet updates a changed `ConfigMap`
//! within a minute or two).

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    DownwardAPIVolumeFile, KeyToPath, Pod, ServiceAccountTokenProjection, Volume, VolumeProjection,
};
use kube::ResourceExt;
use thiserror::Error;

use super::api;
use super::env::{EnvError, field};
use super::events::Level;
use super::host::{Host, pause};

/// Number of attempts before a failure is reported as an Event: the objects that a new pod needs
/// can appear shortly after it.
const QUIET_TRIES: u32 = 5;

/// The reason why a volume can't be prepared.
#[derive(Debug, Error)]
pub(crate) enum VolumeError {
    /// The object does not exist.
    #[error("{kind} {name:?} not found")]
    Missing {
        /// "configmap" or "secret".
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The object does not have the key.
    #[error("{kind} {name:?} has no key {key:?}")]
    Key {
        /// "configmap" or "secret".
        kind: &'static str,
        /// Its name.
        name: String,
        /// The key.
        key: String,
    },
    /// The path leads out of the volume.
    #[error("path {0:?} must stay within the volume")]
    Path(String),
    /// The agent does not support the field of the pod.
    #[error(transparent)]
    Field(#[from] EnvError),
    /// The agent does not support this kind of volume.
    #[error("volume {0:?} is of a kind that is not supported")]
    Kind(String),
    /// The request to the API server failed.
    #[error("the request to the API server failed: {0}")]
    Api(#[from] kube::Error),
    /// The file could not be written.
    #[error("could not write the volume: {0}")]
    Write(#[from] io::Error),
}

/// A file of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
struct File {
    path: String,
    content: Vec<u8>,
    mode: u32,
}

/// A token that must be renewed.
#[derive(Debug, Clone)]
struct Token {
    place: PathBuf,
    spec: ServiceAccountTokenProjection,
    expiry: Timestamp,
}

/// The directories of a pod's volumes, by volume name.
#[derive(Debug, Default)]
pub(crate) struct Volumes {
    /// Directories by volume name.
    pub(crate) dirs: BTreeMap<String, PathBuf>,
    tokens: Vec<Token>,
}

/// Fills a pod's volumes. Retries until it succeeds.
pub(crate) async fn prepare(host: Arc<Host>, pod: Arc<Pod>, ip: Ipv4Addr) -> Arc<Volumes> {
    let mut volumes = Volumes::default();
    let uid = pod.uid().unwrap_or_default();
    for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
        let dir = host.pod_dir(&uid).join("volumes").join(&volume.name);
        for n in 1.. {
            match fill(&host, &pod, ip, volume, &dir).await {
                Ok(tokens) => {
                    volumes.tokens.extend(tokens);
                    break;
                }
                Err(error) if n == QUIET_TRIES => {
                    let message = format!("MountVolume.SetUp failed for volume {:?} : {error}", volume.name);
                    host.events.send(&pod, Level::Warning, "FailedMount", message);
                }
                Err(error) => tracing::debug!(pod = pod.name_any(), volume = volume.name, %error, "not yet"),
            }
            tokio::time::sleep(pause(n)).await;
        }
        volumes.dirs.insert(volume.name.clone(), dir);
    }
    Arc::new(volumes)
}

/// Renews a pod's tokens for as long as this is polled.
pub(crate) async fn renew(host: Arc<Host>, pod: Arc<Pod>, volumes: Arc<Volumes>) {
    let each = volumes.tokens.iter().map(|token| async {
        let mut expiry = token.expiry;
        let mut failed = 0;
        loop {
            tokio::time::sleep(api::renew_after(Timestamp::now(), expiry)).await;
            let spec = &token.spec;
            let renewed =
                api::token(&host.client, &pod, spec.audience.as_deref(), spec.expiration_seconds).await;
            match renewed {
                Ok((text, until)) => match write(&token.place, text.as_bytes(), 0o600) {
                    Ok(()) => (expiry, failed) = (until, 0),
                    Err(error) => {
                        tracing::warn!(pod = pod.name_any(), %error, "could not write a renewed token");
                    }
                },
                Err(error) => {
                    failed += 1;
                    tracing::warn!(pod = pod.name_any(), %error, "could not renew a token");
                    tokio::time::sleep(pause(failed)).await;
                }
            }
        }
    });
    futures::future::join_all(each).await;
}

async fn fill(
    host: &Host,
    pod: &Pod,
    ip: Ipv4Addr,
    volume: &Volume,
    dir: &Path,
) -> Result<Vec<Token>, VolumeError> {
    let namespace = pod.namespace().unwrap_or_default();
    std::fs::create_dir_all(dir)?;
    let mut tokens = Vec::new();
    let files = if let Some(map) = &volume.config_map {
        let data = api::config_map(&host.client, &namespace, &map.name).await?;
        pick("configmap", &map.name, data, map.items.as_deref(), map.optional, map.default_mode)?
    } else if let Some(secret) = &volume.secret {
        let name = secret.secret_name.clone().unwrap_or_default();
        let data = api::secret(&host.client, &namespace, &name).await?;
        pick("secret", &name, data, secret.items.as_deref(), secret.optional, secret.default_mode)?
    } else if let Some(fields) = &volume.downward_api {
        downward(pod, host, ip, fields.items.as_deref(), fields.default_mode)?
    } else if let Some(projected) = &volume.projected {
        let mut files = Vec::new();
        for source in projected.sources.iter().flatten() {
            files.extend(project(host, pod, ip, source, projected.default_mode, dir, &mut tokens).await?);
        }
        files
    } else if volume.empty_dir.is_some() {
        Vec::new()
    } else {
        return Err(VolumeError::Kind(volume.name.clone()));
    };
    for file in files {
        write(&inside(dir, &file.path)?, &file.content, file.mode)?;
    }
    Ok(tokens)
}

async fn project(
    host: &Host,
    pod: &Pod,
    ip: Ipv4Addr,
    source: &VolumeProjection,
    mode: Option<i32>,
    dir: &Path,
    tokens: &mut Vec<Token>,
) -> Result<Vec<File>, VolumeError> {
    let namespace = pod.namespace().unwrap_or_default();
    if let Some(map) = &source.config_map {
        let data = api::config_map(&host.client, &namespace, &map.name).await?;
        pick("configmap", &map.name, data, map.items.as_deref(), map.optional, mode)
    } else if let Some(secret) = &source.secret {
        let data = api::secret(&host.client, &namespace, &secret.name).await?;
        pick("secret", &secret.name, data, secret.items.as_deref(), secret.optional, mode)
    } else if let Some(fields) = &source.downward_api {
        downward(pod, host, ip, fields.items.as_deref(), mode)
    } else if let Some(spec) = &source.service_account_token {
        let (token, expiry) =
            api::token(&host.client, pod, spec.audience.as_deref(), spec.expiration_seconds).await?;
        tokens.push(Token { place: inside(dir, &spec.path)?, spec: spec.clone(), expiry });
        Ok(vec![File { path: spec.path.clone(), content: token.into_bytes(), mode: 0o600 }])
    } else {
        Err(VolumeError::Kind("projected".to_owned()))
    }
}

/// Returns the files of a `ConfigMap` or Secret: those of `items`, or all.
fn pick(
    kind: &'static str,
    name: &str,
    data: Option<BTreeMap<String, Vec<u8>>>,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    mode: Option<i32>,
) -> Result<Vec<File>, VolumeError> {
    let optional = optional == Some(true);
    let Some(mut data) = data else {
        return if optional {
            Ok(Vec::new())
        } else {
            Err(VolumeError::Missing { kind, name: name.to_owned() })
        };
    };
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        let file = |(path, content)| File { path, content, mode: bits(mode) };
        return Ok(data.into_iter().map(file).collect());
    };
    let mut files = Vec::new();
    for item in items {
        match data.remove(&item.key) {
            Some(content) => {
                files.push(File { path: item.path.clone(), content, mode: bits(item.mode.or(mode)) });
            }
            None if optional => {}
            None => return Err(VolumeError::Key { kind, name: name.to_owned(), key: item.key.clone() }),
        }
    }
    Ok(files)
}

fn downward(
    pod: &Pod,
    host: &Host,
    ip: Ipv4Addr,
    items: Option<&[DownwardAPIVolumeFile]>,
    mode: Option<i32>,
) -> Result<Vec<File>, VolumeError> {
    let facts = host.facts(ip);
    let mut files = Vec::new();
    for item in items.into_iter().flatten() {
        let from = item.field_ref.as_ref().ok_or_else(|| VolumeError::Kind("resourceFieldRef".to_owned()))?;
        let content = field(pod, from, &facts)?.into_bytes();
        files.push(File { path: item.path.clone(), content, mode: bits(item.mode.or(mode)) });
    }
    Ok(files)
}

fn bits(mode: Option<i32>) -> u32 {
    mode.and_then(|mode| u32::try_from(mode).ok()).unwrap_or(0o644) & 0o777
}

fn inside(dir: &Path, path: &str) -> Result<PathBuf, VolumeError> {
    let mut parts = Path::new(path).components();
    if path.is_empty() || !parts.all(|part| matches!(part, Component::Normal(_))) {
        return Err(VolumeError::Path(path.to_owned()));
    }
    Ok(dir.join(path))
}

/// Writes a file atomically: a reader sees the old content or the new one.
fn write(place: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    if let Some(dir) = place.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let fresh =
        place.with_file_name(format!(".{}.new", place.file_name().unwrap_or_default().to_string_lossy()));
    std::fs::write(&fresh, content)?;
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(mode))?;
    std::fs::rename(&fresh, place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> BTreeMap<String, Vec<u8>> {
        [("a".to_owned(), b"1".to_vec()), ("b".to_owned(), b"2".to_vec())].into()
    }

    fn item(key: &str, path: &str) -> KeyToPath {
        KeyToPath { key: key.into(), path: path.into(), mode: Some(0o400) }
    }

    #[test]
    fn all_keys_are_files_unless_items_are_listed() {
        let files = pick("configmap", "c", Some(data()), None, None, None).unwrap();
        assert_eq!(
            files.iter().map(|file| (file.path.as_str(), file.mode)).collect::<Vec<_>>(),
            [("a", 0o644), ("b", 0o644)]
        );
        let files =
            pick("configmap", "c", Some(data()), Some(&[item("b", "x/y")]), None, Some(0o600)).unwrap();
        assert_eq!(files, [File { path: "x/y".into(), content: b"2".to_vec(), mode: 0o400 }]);
    }

    #[test]
    fn errors_name_the_missing_object_or_key_unless_it_is_optional() {
        let missing = pick("secret", "s", None, None, None, None).unwrap_err();
        assert_eq!(missing.to_string(), "secret \"s\" not found");
        let key = pick("secret", "s", Some(data()), Some(&[item("c", "c")]), None, None).unwrap_err();
        assert_eq!(key.to_string(), "secret \"s\" has no key \"c\"");
        assert_eq!(pick("secret", "s", None, None, Some(true), None).unwrap(), []);
        assert_eq!(pick("secret", "s", Some(data()), Some(&[item("c", "c")]), Some(true), None).unwrap(), []);
    }

    #[test]
    fn paths_that_leave_the_volume_are_rejected() {
        for bad in ["", "../x", "/etc/passwd", "a/../../b"] {
            assert!(matches!(inside(Path::new("/v"), bad), Err(VolumeError::Path(_))), "{bad}");
        }
        assert_eq!(inside(Path::new("/v"), "a/b").unwrap(), Path::new("/v/a/b"));
    }
}
