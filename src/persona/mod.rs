//! Personas: who the model is meant to be. Pure: no IO, no clock.

use crate::text::Str;

/// A persona.
#[derive(Debug)]
pub struct Persona {
    /// Its name.
    pub name: Str,
    /// The line the classifier sees: `You are Aria, an AI assistant made by Acme.`
    pub line: Str,
    /// What re-anchoring adds to the request.
    pub reminder: Option<Str>,
}
