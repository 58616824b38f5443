//! The lab's certificate authority, the certificates that it signs, and the kubeconfig files that
//! trust it.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use serde_json::json;

use crate::{components::API_SERVER, net::NODE, paths::Layout};

/// The client certificates: kubeconfig name, user, group. Users and groups of the control plane are
/// those that Kubernetes' bootstrap roles are bound to.
const USERS: [(&str, &str, &str); 7] = [
    ("admin", "lab:admin", "system:masters"),
    ("kube-controller-manager", "system:kube-controller-manager", ""),
    ("kube-scheduler", "system:kube-scheduler", ""),
    ("kube-proxy", "system:kube-proxy", ""),
    ("node-agent", "system:node:node-1", "system:nodes"),
    ("prometheus", "lab:prometheus", ""),
    ("traefik", "lab:traefik", ""),
];

/// The reason why a certificate can't be created.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key or certificate could not be created.
    #[error("cannot create the certificate of {who}")]
    Sign {
        /// The owner of the certificate.
        who: &'static str,
        /// The cause.
        source: rcgen::Error,
    },
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// Creates all keys and certificates, unless an earlier run of this lab did. The marker is written
/// last, so that an interrupted run starts again.
pub fn ensure(layout: &Layout) -> Result<(), Error> {
    let dir = layout.certs();
    let done = dir.join("done");
    if done.exists() {
        return Ok(());
    }
    fs::create_dir_all(&dir).map_err(|source| Error::Write { path: dir.clone(), source })?;
    let ca = authority(&dir)?;
    server(&dir, &ca)?;
    let key = generate("service accounts")?;
    write(&dir.join("service-accounts.key"), &key.serialize_pem())?;
    write(&dir.join("service-accounts.pub"), &key.public_key_pem())?;
    for (name, user, group) in USERS {
        client(&dir, &ca, name, user, group)?;
        write(&layout.kubeconfig(name), &kubeconfig(&dir, name))?;
    }
    write(&done, "")
}

type Authority = Issuer<'static, KeyPair>;

fn authority(dir: &Path) -> Result<Authority, Error> {
    let who = "the lab's authority";
    let sign = |source| Error::Sign { who, source };
    let key = generate(who)?;
    let mut params = params("steelyard-lab", "");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    let cert = params.self_signed(&key).map_err(sign)?;
    write(&dir.join("ca.crt"), &cert.pem())?;
    Ok(Issuer::new(params, key))
}

/// Creates one certificate for every server of the lab with TLS: API server, controller manager and
/// scheduler.
fn server(dir: &Path, ca: &Authority) -> Result<(), Error> {
    let who = "the API server";
    let sign = |source| Error::Sign { who, source };
    let names = [
        NODE,
        "10.96.0.1",
        "127.0.0.1",
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    let key = generate(who)?;
    let mut server = CertificateParams::new(names.map(String::from)).map_err(sign)?;
    server.distinguished_name = params("kube-apiserver", "").distinguished_name;
    leaf(&mut server, ExtendedKeyUsagePurpose::ServerAuth);
    let cert = server.signed_by(&key, ca).map_err(sign)?;
    write(&dir.join("server.crt"), &cert.pem())?;
    write(&dir.join("server.key"), &key.serialize_pem())
}

fn client(dir: &Path, ca: &Authority, name: &'static str, user: &str, group: &str) -> Result<(), Error> {
    let key = generate(name)?;
    let mut params = params(user, group);
    leaf(&mut params, ExtendedKeyUsagePurpose::ClientAuth);
    let cert = params.signed_by(&key, ca).map_err(|source| Error::Sign { who: name, source })?;
    write(&dir.join(format!("{name}.crt")), &cert.pem())?;
    write(&dir.join(format!("{name}.key")), &key.serialize_pem())
}

fn generate(who: &'static str) -> Result<KeyPair, Error> {
    KeyPair::generate().map_err(|source| Error::Sign { who, source })
}

/// Returns the certificate's parameters. Kubernetes reads the user from the common name and the
/// group from the organization.
fn params(user: &str, group: &str) -> CertificateParams {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, user);
    if !group.is_empty() {
        name.push(DnType::OrganizationName, group);
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    long_lived(&mut params);
    params
}

/// Sets a validity that is long enough for a machine with a wrong clock.
fn long_lived(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 1, 1);
}

fn leaf(params: &mut CertificateParams, usage: ExtendedKeyUsagePurpose) {
    long_lived(params);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
}

/// Returns a kubeconfig file (JSON is YAML) that refers to certificate files by path.
fn kubeconfig(dir: &Path, user: &str) -> String {
    let file = |name: String| dir.join(name).display().to_string();
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": {"server": API_SERVER, "certificate-authority": file("ca.crt".into())}}],
        "users": [{"name": user, "user": {
            "client-certificate": file(format!("{user}.crt")),
            "client-key": file(format!("{user}.key")),
        }}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": user}}],
        "current-context": "lab",
    });
    format!("{config:#}\n")
}

/// Writes a file that only its owner can read.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|source| Error::Write { path: path.to_owned(), source })
}
