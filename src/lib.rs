//! steadfast keeps a language model in character: it judges what the model actually said, each window of each answer, and blocks,
//! retries or flags it as a policy says.
//!
//! The program is a reverse proxy; the guard in it is a `tower::Layer` that other Rust services can use on their own.
//! Modules depend downwards only: `score`, `verdict`, `text`, `document` < `frame`, `dialect`, `policy`, `persona` < `infer` < `guard` < the program.

#[cfg(feature = "server")]
pub mod admin;
#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
pub mod config;
pub mod decode;
pub mod degeneration;
#[cfg(feature = "server")]
pub mod demo;
pub mod detect;
pub mod dialect;
pub mod document;
pub mod drift;
pub mod frame;
pub mod guard;
#[cfg(feature = "server")]
pub mod incidents;
pub mod infer;
pub mod inspect;
pub mod normalize;
pub mod persona;
pub mod policy;
#[cfg(feature = "server")]
pub mod proxy;
pub mod rows;
pub mod score;
pub mod session;
#[cfg(feature = "server")]
pub mod telemetry;
pub mod text;
pub mod verdict;
pub mod window;
