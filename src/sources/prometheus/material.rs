//! The headers and certificates of a source's client, some of them in files that are renewed.

use std::collections::BTreeMap;
use std::path::Path;

use prometheus_http_query::Client;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Identity, redirect};

use super::config::{SourceConfig, SourceError};

/// The content of a source's files, and its headers. It has no `Debug`, because it may contain
/// secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Material {
    headers: BTreeMap<String, String>,
    ca: Option<Vec<u8>>,
    /// Certificate and key, concatenated.
    identity: Option<Vec<u8>>,
}

impl Material {
    /// Reads the files.
    pub(crate) fn read(config: &SourceConfig) -> Result<Self, SourceError> {
        let failed = |path: &Path, source| SourceError::File {
            name: config.name.clone(),
            path: path.to_owned(),
            source,
        };
        let file = |path: &Path| std::fs::read(path).map_err(|source| failed(path, source));
        let mut headers = config.headers.clone();
        if let Some(folder) = &config.headers_from {
            let entries = std::fs::read_dir(folder).map_err(|source| failed(folder, source))?;
            for entry in entries.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                // A mounted Secret contains internal directories and links whose names start with
                // two dots.
                if name.starts_with('.') || entry.path().is_dir() {
                    continue;
                }
                let content = file(&entry.path())?;
                headers.insert(name, String::from_utf8_lossy(&content).trim().to_owned());
            }
        }
        let ca = config.tls.ca.as_deref().map(file).transpose()?;
        let identity = match (&config.tls.cert, &config.tls.key) {
            (Some(cert), Some(key)) => Some([file(cert)?, b"\n".to_vec(), file(key)?].concat()),
            (None, None) => None,
            _ => return Err(SourceError::Half { name: config.name.clone() }),
        };
        Ok(Self { headers, ca, identity })
    }

    /// Creates a client for queries.
    pub(super) fn client(&self, config: &SourceConfig) -> Result<Client, SourceError> {
        Client::from(self.http(config)?, &config.url)
            .map_err(|source| SourceError::Query { name: config.name.clone(), source: Box::new(source) })
    }

    /// Creates an HTTP client.
    pub(crate) fn http(&self, config: &SourceConfig) -> Result<reqwest::Client, SourceError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(SourceError::NoCryptoProvider);
        }
        let name = || config.name.clone();
        // Redirects would receive the credentials. A proxy from the environment is not part of the
        // operator's configuration.
        let mut builder = reqwest::Client::builder()
            .default_headers(self.headers(config)?)
            .redirect(redirect::Policy::none())
            .no_proxy();
        if let Some(ca) = &self.ca {
            let invalid = |source| SourceError::Pem { name: name(), field: "ca", source };
            let authorities = Certificate::from_pem_bundle(ca).map_err(|error| invalid(Some(error)))?;
            if authorities.is_empty() {
                return Err(invalid(None));
            }
            builder = builder.tls_certs_only(authorities);
        }
        if let Some(pem) = &self.identity {
            let invalid = |source| SourceError::Pem { name: name(), field: "cert", source: Some(source) };
            builder = builder.identity(Identity::from_pem(pem).map_err(invalid)?);
        }
        builder.build().map_err(|source| SourceError::Client { name: name(), source })
    }

    fn headers(&self, config: &SourceConfig) -> Result<HeaderMap, SourceError> {
        let mut headers = HeaderMap::new();
        for (header, value) in &self.headers {
            let invalid = || SourceError::Header { name: config.name.clone(), header: header.clone() };
            let key = HeaderName::from_bytes(header.as_bytes()).map_err(|_| invalid())?;
            let mut value = HeaderValue::from_str(value).map_err(|_| invalid())?;
            value.set_sensitive(true);
            headers.insert(key, value);
        }
        Ok(headers)
    }
}
