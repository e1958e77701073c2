//! `[server]`: where to listen, TLS, who may call, how to stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::documented::documented;
use super::{Reading, Secret, show};
use crate::document::{Item, Table};

documented! {
    /// Listeners and who may call.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Server {
        /// Where clients come.
        pub listen: SocketAddr,
        /// Health, metrics, dashboard, admin API; `"none"` turns it off.
        pub admin: Option<SocketAddr>,
        /// Where Envoy's external processing calls come, like `127.0.0.1:9465`.
        #[see = "[Envoy](recipes.md#envoy)"]
        pub ext_proc: Option<SocketAddr>,
        /// Names, beside `localhost` and addresses, under which the admin port is reached.
        pub admin_hosts: Vec<String>,
        /// What the admin API wants as `authorization: Bearer`: `{ env = "…" }` or `{ file = "…" }`; without it whoever can connect may
        /// use it.
        pub admin_token: Option<Secret>,
        /// After `SIGTERM`: how long answers may go on.
        pub shutdown_grace: Duration,
        /// After `SIGTERM`: how long connections are still taken, while `/readyz` says no, so that load balancers can notice.
        pub drain_delay: Duration,
        /// TLS for clients: `{ cert = "…", key = "…" }`, PEM.
        pub tls: Option<Tls>,
        /// Who may call: keys separated by commas or white space, `{ env = "…" }` or `{ file = "…" }`; without it whoever can connect.
        pub client_keys: Option<Secret>,
    }
}

/// A certificate chain and its key, in PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The chain, the server's own certificate first.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Default for Server {
    fn default() -> Self {
        Server {
            listen: SocketAddr::from(([0, 0, 0, 0], 8080)),
            admin: Some(SocketAddr::from(([127, 0, 0, 1], 9464))),
            ext_proc: None,
            admin_hosts: Vec::new(),
            admin_token: None,
            shutdown_grace: Duration::from_secs(30),
            drain_delay: Duration::ZERO,
            tls: None,
            client_keys: None,
        }
    }
}

impl Server {
    pub(super) fn read(table: Option<Table<'_>>, cx: &Reading<'_>) -> Self {
        let mut server = Server::default();
        let Some(table) = table else { return server };
        if let Some(listen) = table.item("listen").and_then(|item| address(&item)) {
            server.listen = listen;
        }
        if let Some(item) = table.item("admin") {
            if item.is_str() && item.str() == Some("none") {
                server.admin = None;
            } else if let Some(admin) = address(&item) {
                server.admin = Some(admin);
            }
        }
        if server.admin == Some(server.listen) && server.listen.port() != 0 {
            table.problem(
                "admin",
                "is the same as server.listen",
                Some("health, metrics and the admin API are never on the data port"),
            );
        }
        if let Some(item) = table.item("ext_proc") {
            server.ext_proc = address(&item);
            if cfg!(not(feature = "extproc")) {
                item.problem("this build cannot serve Envoy", Some("build with the feature extproc, or leave the key out"));
            }
        }
        if server.ext_proc.is_some_and(|addr| addr.port() != 0 && (addr == server.listen || Some(addr) == server.admin)) {
            table.problem("ext_proc", "is the same as another listener of the server", Some("like \"127.0.0.1:9465\""));
        }
        if let Some(hosts) = table.strings("admin_hosts") {
            server.admin_hosts = hosts.into_iter().map(str::to_owned).collect();
        }
        if let Some(token) = table.table("admin_token") {
            server.admin_token = cx.secret(&token);
            token.finish();
        }
        if let Some(grace) = table.duration("shutdown_grace") {
            server.shutdown_grace = grace;
        }
        if let Some(delay) = table.duration("drain_delay") {
            server.drain_delay = delay;
        }
        if let Some(tls) = table.table("tls") {
            let cert = tls.require("cert", "a PEM file with the certificate chain").and_then(|item| cx.existing(&item));
            let key = tls.require("key", "a PEM file with the private key").and_then(|item| cx.existing(&item));
            server.tls = cert.zip(key).map(|(cert, key)| Tls { cert, key });
            tls.finish();
        }
        if let Some(keys) = table.table("client_keys") {
            server.client_keys = cx.secret(&keys);
            keys.finish();
        }
        table.finish();
        server
    }

    pub(super) fn show(&self) -> serde_json::Value {
        serde_json::json!({
            "listen": self.listen.to_string(),
            "admin": self.admin.map_or_else(|| "none".to_owned(), |admin| admin.to_string()),
            "ext_proc": self.ext_proc.map(|addr| addr.to_string()),
            "admin_hosts": self.admin_hosts,
            "admin_token": self.admin_token.as_ref().map(Secret::show),
            "shutdown_grace": show::duration(self.shutdown_grace),
            "drain_delay": show::duration(self.drain_delay),
            "tls": self.tls.as_ref().map(|tls| serde_json::json!({ "cert": show::path(&tls.cert), "key": show::path(&tls.key) })),
            "client_keys": self.client_keys.as_ref().map(Secret::show),
        })
    }
}

/// `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`, `:8080`.
fn address(item: &Item<'_>) -> Option<SocketAddr> {
    let text = item.nonempty()?;
    let full = match text.rsplit_once(':') {
        Some(("", port)) => format!("0.0.0.0:{port}"),
        Some(("localhost", port)) => format!("127.0.0.1:{port}"),
        _ => text.to_owned(),
    };
    let parsed = full.parse().ok();
    if parsed.is_none() {
        item.problem(format!("{text:?} is no address to listen on"), Some("write ADDRESS:PORT, like \"0.0.0.0:8080\""));
    }
    parsed
}
