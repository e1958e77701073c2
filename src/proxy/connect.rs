//! Connections to upstreams: DNS, TCP, TLS, all within one time limit. Knows no HTTP request.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::config::{Protocol, Upstream};
use crate::guard::BoxError;

/// Why no connector could be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// The system trusts nobody.
    #[error("no certificate authorities were found on this system ({0}); install ca-certificates, or set upstream.ca")]
    NoRoots(std::io::Error),
    /// A file with authorities is not one.
    #[error("{file}: no certificate could be read from it: {source}")]
    Pem {
        /// The file.
        file: String,
        /// Why.
        source: rustls_pki_types::pem::Error,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// The connection was not there in time.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {0:?} (limits.upstream_connect)")]
pub struct ConnectTimeout(pub Duration);

/// Connects within a time limit.
#[derive(Clone)]
pub struct Connector {
    inner: HttpsConnector<HttpConnector>,
    limit: Duration,
}

impl Connector {
    /// A connector for an upstream.
    ///
    /// # Errors
    /// [`ConnectorError`], where certificate authorities are missing.
    pub fn new(upstream: &Upstream, protocol: Protocol, limit: Duration) -> Result<Self, ConnectorError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_secs(60)));
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls(upstream)?).https_or_http();
        let inner = match protocol {
            Protocol::Auto => builder.enable_all_versions().wrap_connector(tcp),
            Protocol::Http1 => builder.enable_http1().wrap_connector(tcp),
            Protocol::Http2 => builder.enable_http2().wrap_connector(tcp),
        };
        Ok(Connector { inner, limit })
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, limit) = (self.inner.call(uri), self.limit);
        Box::pin(async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(connected) => connected,
                Err(_) => Err(ConnectTimeout(limit).into()),
            }
        })
    }
}

fn tls(upstream: &Upstream) -> Result<ClientConfig, ConnectorError> {
    // Reading the system's authorities takes milliseconds that a gateway before plain HTTP need not spend.
    static NATIVE: OnceLock<ClientConfig> = OnceLock::new();
    if upstream.url.scheme_str() != Some("https") {
        return Ok(builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
    }
    if let Some(path) = &upstream.ca {
        let file = path.display().to_string();
        let pem = |source| ConnectorError::Pem { file: file.clone(), source };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(path).map_err(pem)? {
            roots.add(certificate.map_err(pem)?)?;
        }
        if roots.is_empty() {
            return Err(pem(rustls_pki_types::pem::Error::NoItemsFound));
        }
        return Ok(builder()?.with_root_certificates(roots).with_no_client_auth());
    }
    if let Some(config) = NATIVE.get() {
        return Ok(config.clone());
    }
    let config = builder()?.with_native_roots().map_err(ConnectorError::NoRoots)?.with_no_client_auth();
    Ok(NATIVE.get_or_init(|| config).clone())
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, rustls::Error> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider())).with_safe_default_protocol_versions()
}
