//! The connection to Redis: one for all requests, which the `redis` crate shares among them; opened when it is first needed, and anew when it
//! is lost. Knows no sessions, and waits as long as it is let.

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo, RedisResult, TlsCertificates};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::sync::Mutex;

/// Where Redis is, and the connection while there is one.
pub(super) struct Link {
    client: Client,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    connection: Option<MultiplexedConnection>,
    /// Connections opened so far.
    number: u64,
}

impl Link {
    /// Reads a URL and the authorities. The fault quotes neither: a part of the URL is a password.
    pub(super) fn new(url: &str, ca: Option<Vec<u8>>) -> Result<Self, &'static str> {
        const FAULT: &str = "the URL makes no sense as redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], or rediss:// for TLS";
        let tls = url.starts_with("rediss://");
        // Other schemes are sockets and dialects that nothing here is tested with; after # stands how not to check certificates.
        if !(tls || url.starts_with("redis://")) || url.contains('#') {
            return Err(FAULT);
        }
        let info: ConnectionInfo = url.into_connection_info().map_err(|_| FAULT)?;
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        if tls {
            // Of a process that has chosen its cryptography nothing is changed.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let client = match ca {
            None => Client::open(info).map_err(|_| FAULT)?,
            Some(_) if !tls => return Err("authorities are for rediss://"),
            Some(pem) => {
                if !CertificateDer::pem_slice_iter(&pem).all(|one| one.is_ok())
                    || CertificateDer::pem_slice_iter(&pem).next().is_none()
                {
                    return Err("the file with authorities holds no certificate that can be read");
                }
                Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert: Some(pem) })
                    .map_err(|_| "the file with authorities holds a certificate that is none of an authority")?
            }
        };
        Ok(Link { client, open: Mutex::default() })
    }

    /// Asks over the connection. One that was there may have been lost since: then once more over a new one.
    pub(super) async fn ask<T, F: Future<Output = RedisResult<T>>>(
        &self,
        question: impl Fn(MultiplexedConnection) -> F,
    ) -> RedisResult<T> {
        loop {
            let (connection, number, fresh) = self.connection().await?;
            match question(connection).await {
                Err(error) if error.is_unrecoverable_error() => {
                    self.lost(number).await;
                    if fresh {
                        return Err(error);
                    }
                }
                answered => return answered,
            }
        }
    }

    /// Whatever the connection was, the next question opens another.
    pub(super) async fn forget(&self) {
        self.open.lock().await.connection = None;
    }

    /// The connection, which of them it is, and whether it was opened for this.
    async fn connection(&self) -> RedisResult<(MultiplexedConnection, u64, bool)> {
        let mut open = self.open.lock().await;
        if let Some(connection) = &open.connection {
            return Ok((connection.clone(), open.number, false));
        }
        // Who asks has a limit for all of it.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        open.number += 1;
        open.connection = Some(connection.clone());
        Ok((connection, open.number, true))
    }

    async fn lost(&self, number: u64) {
        let mut open = self.open.lock().await;
        if open.number == number {
            open.connection = None;
        }
    }
}
