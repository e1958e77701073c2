//! Secrets: named in the configuration, never written in it. They come from the environment or a file and are never shown again.

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::{Reading, show};
use crate::document::Table;

/// Where a secret is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A variable of the environment.
    Env(String),
    /// A file (its white space at the ends does not count).
    File(PathBuf),
}

/// A secret and where it came from. `Debug` does not show it.
#[derive(Clone, Debug)]
pub struct Secret {
    source: SecretSource,
    value: Arc<SecretString>,
}

impl Secret {
    /// A secret from a known place.
    #[must_use]
    pub fn new(source: SecretSource, value: String) -> Self {
        Secret { source, value: Arc::new(SecretString::from(value)) }
    }

    /// The secret itself. Keep it out of logs and errors.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.value.expose_secret()
    }

    pub(super) fn show(&self) -> serde_json::Value {
        match &self.source {
            SecretSource::Env(name) => serde_json::json!({ "env": name }),
            SecretSource::File(path) => serde_json::json!({ "file": show::path(path) }),
        }
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.expose() == other.expose()
    }
}

/// Reads `env` or `file` of a table (which may have other keys) and fetches the secret.
pub(super) fn read(table: &Table<'_>, cx: &Reading<'_>) -> Option<Secret> {
    let (env, file) = (table.item("env"), table.item("file"));
    match (env, file) {
        (Some(item), None) => {
            let name = item.nonempty()?;
            match (cx.env)(name) {
                _ if !cx.secrets => Some(Secret::new(SecretSource::Env(name.to_owned()), String::new())),
                Some(value) if !value.trim().is_empty() => {
                    Some(Secret::new(SecretSource::Env(name.to_owned()), value.trim().to_owned()))
                }
                Some(_) => {
                    item.problem(format!("the environment variable {name} is empty"), None);
                    None
                }
                None => {
                    item.problem(format!("the environment variable {name} is not set"), None);
                    None
                }
            }
        }
        (None, Some(item)) => {
            let path = cx.path(&item)?;
            if !cx.secrets {
                return Some(Secret::new(SecretSource::File(path), String::new()));
            }
            let text = cx.files.borrow_mut().read(&path);
            match text {
                Ok(value) if !value.trim().is_empty() => Some(Secret::new(SecretSource::File(path), value.trim().to_owned())),
                Ok(_) => {
                    item.problem(format!("{} is empty", path.display()), None);
                    None
                }
                Err(error) => {
                    item.problem(format!("{} cannot be read: {error}", path.display()), None);
                    None
                }
            }
        }
        (Some(_), Some(_)) => {
            table.problem("file", "there is also an env", Some("give one of env and file"));
            None
        }
        (None, None) => {
            table.problem_here("says not where the secret is", Some("give env = \"NAME\" or file = \"PATH\""));
            None
        }
    }
}
