//! The reverse proxy: listeners, routes, upstreams, and the guard between them. [`stack`] says in which order; knows no metric and no
//! command line.

pub mod admission;
pub mod auth;
pub mod body;
pub mod connect;
#[cfg(feature = "extproc")]
pub mod extproc;
pub mod fault;
pub mod headers;
pub mod health;
pub mod live;
mod operate;
pub mod patience;
pub mod program;
pub mod reload;
pub mod route;
pub mod serve;
pub mod stack;
mod stopping;
pub mod tls;
pub mod upstream;
