//! Borrowed JSON reading and splicing, shared by the formats.
