//! The guard: a `tower` layer that judges answers. Knows HTTP bodies and services; no server, no configuration, no command line.

pub mod events;
