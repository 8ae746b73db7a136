//! Certificates and handshakes of SIP over TLS.
//!
//! The files are read again when they change; connections that are open keep what they were opened with. What cannot be
//! used is told, and the last that could stays in force.

use crate::settings;
use params::TlsVerify;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Tls {
    files: Files,
    in_force: Mutex<Arc<InForce>>,
    /// What the files held at the last look: it is in force, or was refused and is not tried again.
    seen: Mutex<Contents>,
}

/// Where everything stands.
#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    client_authorities: Option<PathBuf>,
    vendor_authorities: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_authorities: Option<Vec<u8>>,
    vendor_authorities: Option<Vec<u8>>,
}

struct InForce {
    acceptor: TlsAcceptor,
    /// For vendors whose certificate is verified.
    verifying: TlsConnector,
    /// For those that may show any.
    trusting: TlsConnector,
}

impl std::fmt::Debug for InForce {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InForce")
    }
}

impl Tls {
    /// Reads the files of the settings; where none are named, a certificate of our own for these names, which is made
    /// in the data folder at the first start.
    pub fn load(settings: &settings::Tls, folder: &Path, names: Vec<String>) -> Result<Tls, String> {
        let (certificate, key) = match (&settings.certificate, &settings.key) {
            (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
            _ => own_certificate(&folder.join("tls"), names)?,
        };
        let files = Files {
            certificate,
            key,
            client_authorities: settings.client_authorities.clone(),
            vendor_authorities: settings.vendor_authorities.clone(),
        };
        let contents = files.read()?;
        let in_force = Mutex::new(Arc::new(files.make(&contents)?));
        Ok(Tls { files, in_force, seen: Mutex::new(contents) })
    }

    /// Puts what changes into force until the task is dropped.
    pub async fn watch(self: Arc<Tls>) {
        loop {
            tokio::time::sleep(LOOK).await;
            let tls = self.clone();
            let _ = tokio::task::spawn_blocking(move || tls.look()).await;
        }
    }

    fn look(&self) {
        let contents = match self.files.read() {
            Ok(contents) => contents,
            // Perhaps it is just being replaced.
            Err(error) => return tracing::warn!("{error}; what was read before stays in force"),
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == contents {
            return;
        }
        match self.files.make(&contents) {
            Ok(made) => {
                *self.in_force.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(made);
                tracing::info!(certificate = %self.files.certificate.display(), "new certificates in force");
            }
            Err(error) => tracing::warn!("{error}; what was read before stays in force"),
        }
        *seen = contents;
    }

    fn in_force(&self) -> Arc<InForce> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub async fn accept(&self, stream: TcpStream) -> io::Result<server::TlsStream<TcpStream>> {
        let acceptor = self.in_force().acceptor.clone();
        acceptor.accept(stream).await
    }

    pub async fn connect(
        &self,
        stream: TcpStream,
        name: ServerName<'static>,
        verify: TlsVerify,
    ) -> io::Result<client::TlsStream<TcpStream>> {
        let in_force = self.in_force();
        let connector = match verify {
            TlsVerify::Trusted => &in_force.verifying,
            TlsVerify::Any => &in_force.trusting,
        };
        connector.connect(name, stream).await
    }
}

impl Files {
    fn read(&self) -> Result<Contents, String> {
        let maybe = |path: &Option<PathBuf>| path.as_deref().map(read).transpose();
        Ok(Contents {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?,
            client_authorities: maybe(&self.client_authorities)?,
            vendor_authorities: maybe(&self.vendor_authorities)?,
        })
    }

    fn make(&self, contents: &Contents) -> Result<InForce, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = certificates(&self.certificate, &contents.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|e| format!("{}: expected a private key in PEM: {e}", self.key.display()))?;
        let versions = |e: rustls::Error| format!("TLS: {e}");
        let pair =
            |e: rustls::Error| format!("{} and {}: {e}", self.certificate.display(), self.key.display());

        let server = ServerConfig::builder_with_provider(provider.clone());
        let server = server.with_safe_default_protocol_versions().map_err(versions)?;
        let server = match self.client_authorities.as_deref().zip(contents.client_authorities.as_deref()) {
            Some((path, pem)) => {
                let roots = Arc::new(authorities(path, pem)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone()).build();
                server.with_client_cert_verifier(verifier.map_err(|e| format!("{}: {e}", path.display()))?)
            }
            None => server.with_no_client_auth(),
        };
        let server = server.with_single_cert(chain.clone(), key.clone_key()).map_err(pair)?;

        let vendor_roots =
            match self.vendor_authorities.as_deref().zip(contents.vendor_authorities.as_deref()) {
                Some((path, pem)) => authorities(path, pem)?,
                None => system_authorities(),
            };
        let client = |verifier: Arc<dyn ServerCertVerifier>| {
            let client = ClientConfig::builder_with_provider(provider.clone());
            let client = client.with_safe_default_protocol_versions().map_err(versions)?;
            let client = client.dangerous().with_custom_certificate_verifier(verifier);
            // Shown to vendors that ask who we are.
            client.with_client_auth_cert(chain.clone(), key.clone_key()).map_err(pair)
        };
        let any: Arc<dyn ServerCertVerifier> = Arc::new(AnyCertificate(provider.clone()));
        let verifier: Arc<dyn ServerCertVerifier> = if vendor_roots.is_empty() {
            Arc::new(NoCertificate(provider.clone()))
        } else {
            WebPkiServerVerifier::builder_with_provider(Arc::new(vendor_roots), provider.clone())
                .build()
                .map_err(|e| format!("authorities of vendors: {e}"))?
        };
        Ok(InForce {
            acceptor: TlsAcceptor::from(Arc::new(server)),
            verifying: TlsConnector::from(Arc::new(client(verifier)?)),
            trusting: TlsConnector::from(Arc::new(client(any)?)),
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|e| format!("{}: {e}", path.display()))
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!("{}: expected certificates in PEM, found none", path.display())),
        Err(e) => Err(format!("{}: expected certificates in PEM: {e}", path.display())),
    }
}

fn authorities(path: &Path, pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, pem)? {
        roots.add(certificate).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(roots)
}

/// Whom the system trusts; nobody where it has no list.
fn system_authorities() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// Made once, for all names and addresses that we know of. It encrypts; who is to verify it has to be given it.
fn own_certificate(folder: &Path, names: Vec<String>) -> Result<(PathBuf, PathBuf), String> {
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    if certificate.exists() && key.exists() {
        return Ok((certificate, key));
    }
    let made = (|| {
        let key = rcgen::KeyPair::generate()?;
        let mut params = rcgen::CertificateParams::new(names)?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "Tandem");
        Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
    })();
    let (certificate_pem, key_pem) = made.map_err(|e: rcgen::Error| format!("making a certificate: {e}"))?;
    let failed = |e: io::Error| format!("writing to {}: {e}", folder.display());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    write(&key, &key_pem, 0o600).map_err(failed)?;
    write(&certificate, &certificate_pem, 0o644).map_err(failed)?;
    Ok((certificate, key))
}

/// Whole or not at all.
fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let aside = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(&aside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&aside, path)
}

/// Takes whatever certificate is shown; that the peer has its key is verified all the same.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

/// Trusts nobody.
#[derive(Debug)]
struct NoCertificate(Arc<CryptoProvider>);

macro_rules! verifies_as {
    ($name:ident, $verdict:expr) => {
        impl ServerCertVerifier for $name {
            fn verify_server_cert(
                &self,
                _end_entity: &CertificateDer<'_>,
                _intermediates: &[CertificateDer<'_>],
                _name: &ServerName<'_>,
                _ocsp: &[u8],
                _now: UnixTime,
            ) -> Result<ServerCertVerified, rustls::Error> {
                $verdict
            }

            fn verify_tls12_signature(
                &self,
                message: &[u8],
                certificate: &CertificateDer<'_>,
                signed: &DigitallySignedStruct,
            ) -> Result<HandshakeSignatureValid, rustls::Error> {
                let algorithms = &self.0.signature_verification_algorithms;
                rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
            }

            fn verify_tls13_signature(
                &self,
                message: &[u8],
                certificate: &CertificateDer<'_>,
                signed: &DigitallySignedStruct,
            ) -> Result<HandshakeSignatureValid, rustls::Error> {
                let algorithms = &self.0.signature_verification_algorithms;
                rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
            }

            fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
                self.0.signature_verification_algorithms.supported_schemes()
            }
        }
    };
}

verifies_as!(AnyCertificate, Ok(ServerCertVerified::assertion()));
verifies_as!(NoCertificate, Err(rustls::CertificateError::UnknownIssuer.into()));

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_own_certificate_is_made_once_and_its_key_is_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let load = || Tls::load(&settings::Tls::default(), folder.path(), vec!["192.0.2.1".into()]);
        let first = load().unwrap().files.read().unwrap();
        assert_eq!(load().unwrap().files.read().unwrap(), first);
        let mode = |name| fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("tls"), mode("tls/key.pem")), (0o700, 0o600));
    }

    #[test]
    fn what_cannot_be_used_is_named_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        let pair = |folder: &Path| own_certificate(folder, vec!["a.example".into()]).unwrap();
        let ((certificate, key), (other_certificate, other_key)) = (pair(&one), pair(&other));
        let settings = settings::Tls {
            certificate: Some(certificate.clone()),
            key: Some(key.clone()),
            ..settings::Tls::default()
        };
        let load = |settings: &settings::Tls| Tls::load(settings, folder.path(), Vec::new()).err();
        let said = load(&settings::Tls { key: Some(other_key.clone()), ..settings.clone() }).unwrap();
        assert!(said.contains("certificate.pem and ") && said.contains("other/key.pem"), "{said}");
        let said = load(&settings::Tls { certificate: Some(key.clone()), ..settings.clone() }).unwrap();
        assert!(said.contains("one/key.pem: expected certificates"), "{said}");
        let gone = Some(folder.path().join("gone.pem"));
        let said = load(&settings::Tls { vendor_authorities: gone, ..settings.clone() }).unwrap();
        assert!(said.contains("gone.pem: No such file"), "{said}");

        let tls = Tls::load(&settings, folder.path(), Vec::new()).unwrap();
        let before = tls.in_force();
        // The certificate comes first and its key later: in between, what was there stays.
        fs::copy(&other_certificate, &certificate).unwrap();
        tls.look();
        assert!(Arc::ptr_eq(&tls.in_force(), &before));
        fs::remove_file(&key).unwrap();
        tls.look();
        assert!(Arc::ptr_eq(&tls.in_force(), &before));
        fs::copy(&other_key, &key).unwrap();
        tls.look();
        let after = tls.in_force();
        assert!(!Arc::ptr_eq(&after, &before));
        tls.look();
        assert!(Arc::ptr_eq(&tls.in_force(), &after));
    }
}
