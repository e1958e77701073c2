//! A well-behaved HTTP server and client, for what raw sockets are too low for: HTTP/2 and TLS.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A certificate for `localhost` and 127.0.0.1, signed by an authority of its own.
pub struct Certificate {
    /// The authority, PEM.
    pub ca: String,
    /// The certificate, PEM.
    pub cert: String,
    /// Its key, PEM.
    pub key: String,
}

impl Certificate {
    /// A new one.
    pub fn new() -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer_key = rcgen::KeyPair::generate().unwrap();
        let ca = params.self_signed(&issuer_key).unwrap().pem();
        let issuer = rcgen::Issuer::new(params, issuer_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let cert = params.signed_by(&key, &issuer).unwrap().pem();
        Certificate { ca, cert, key: key.serialize_pem() }
    }

    /// Writes `ca.pem`, `cert.pem` and `key.pem`.
    pub fn write(&self, folder: &Path) {
        for (name, text) in [("ca.pem", &self.ca), ("cert.pem", &self.cert), ("key.pem", &self.key)] {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }
}

/// A server that tells what it was asked: version, host and path, as text.
pub struct Mirror {
    /// Its address.
    pub addr: SocketAddr,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Mirror {
    /// Starts; with `tls`, a certificate and the protocols it offers (`h2`, `http/1.1`).
    pub async fn start(tls: Option<(&Certificate, &[&str])>) -> Self {
        let acceptor = tls.map(|(certificate, protocols)| acceptor(certificate, protocols));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let task = tokio::spawn(async move {
            let mut tasks = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let acceptor = acceptor.clone();
                tasks.spawn(async move {
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let service = service_fn(reflect);
                    let _ = match acceptor {
                        None => builder.serve_connection(TokioIo::new(socket), service).await,
                        Some(acceptor) => match acceptor.accept(socket).await {
                            Ok(socket) => builder.serve_connection(TokioIo::new(socket), service).await,
                            Err(_) => return,
                        },
                    };
                });
            }
        });
        Mirror { addr, connections, task }
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn reflect(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // Long enough for requests to be under way at the same time.
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    let host = request.headers().get("host").map(|value| value.to_str().unwrap().to_owned());
    let authority = request.uri().authority().map(ToString::to_string);
    let cookies: Vec<_> = request.headers().get_all("cookie").iter().map(|value| value.to_str().unwrap().to_owned()).collect();
    let text = format!(
        "{:?} host={} path={} cookies={}",
        request.version(),
        host.or(authority).unwrap_or_default(),
        request.uri().path(),
        cookies.join("|")
    );
    let body = request.into_body().collect().await.map(|body| body.to_bytes().len()).unwrap_or_default();
    Ok(Response::new(Full::from(format!("{text} body={body}"))))
}

fn acceptor(certificate: &Certificate, protocols: &[&str]) -> TlsAcceptor {
    use rustls_pki_types::pem::PemObject;
    let chain = vec![rustls_pki_types::CertificateDer::from_pem_slice(certificate.cert.as_bytes()).unwrap()];
    let key = rustls_pki_types::PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// A client that speaks HTTP/2 in the clear.
pub fn h2_client() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).http2_only(true).build_http()
}

/// A client that trusts a certificate's authority and offers HTTP/2.
pub fn tls_client(certificate: &Certificate) -> Client<hyper_rustls::HttpsConnector<HttpConnector>, Full<Bytes>> {
    use rustls_pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls_pki_types::CertificateDer::from_pem_slice(certificate.ca.as_bytes()).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_all_versions().build();
    Client::builder(TokioExecutor::new()).build(connector)
}

/// A body as text.
pub async fn text<B: http_body::Body<Error: std::fmt::Debug>>(body: B) -> String {
    String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}
