//! TLS on the data port: certificate and key from PEM files, HTTP/2 and HTTP/1.1 by ALPN. Knows no connection.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Tls;

/// A certificate or key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read, or holds no PEM of the right kind.
    #[error("{file}: no {what} could be read from it: {source}")]
    Pem {
        /// The file.
        file: String,
        /// `certificate` or `private key`.
        what: &'static str,
        /// Why.
        source: rustls_pki_types::pem::Error,
    },
    /// They do not go together.
    #[error("{cert} and {key} cannot be used together: {source}")]
    Pair {
        /// The certificate's file.
        cert: String,
        /// The key's file.
        key: String,
        /// Why.
        source: rustls::Error,
    },
}

/// Reads certificate and key.
///
/// # Errors
/// [`TlsError`], with the file's name.
pub fn server_config(tls: &Tls) -> Result<Arc<ServerConfig>, TlsError> {
    let (cert, key) = (tls.cert.display().to_string(), tls.key.display().to_string());
    let chain = CertificateDer::pem_file_iter(&tls.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .and_then(|chain| if chain.is_empty() { Err(rustls_pki_types::pem::Error::NoItemsFound) } else { Ok(chain) })
        .map_err(|source| TlsError::Pem { file: cert.clone(), what: "certificate", source })?;
    let private = PrivateKeyDer::from_pem_file(&tls.key).map_err(|source| TlsError::Pem {
        file: key.clone(),
        what: "private key",
        source,
    })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|source| TlsError::Pair { cert, key, source })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
