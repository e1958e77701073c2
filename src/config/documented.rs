//! Sections whose comments are the configuration reference: a key is described once, beside its field. Knows no section and no document.

/// A key of a section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// Its name in the file.
    pub(super) name: &'static str,
    /// The lines of its field's comment.
    lines: &'static [&'static str],
    /// The words for a default that is no value, in Markdown.
    pub(super) default: Option<&'static str>,
    /// Where there is more, a link from `docs/`.
    see: Option<&'static str>,
}

impl Key {
    pub(super) const fn new(
        name: &'static str,
        lines: &'static [&'static str],
        default: &'static [&'static str],
        see: &'static [&'static str],
    ) -> Self {
        Key { name, lines, default: default.first().copied(), see: see.first().copied() }
    }

    /// Its comment as the tables of `docs/` have it. There a description is a phrase: it begins small and has no full stop. Words that are
    /// more than capitalized (`TLS`, `SQLite`, `HTTP/2`) are left alone, so a comment must not begin with a name like Envoy's.
    pub(super) fn description(&self) -> String {
        let lines: Vec<&str> = self.lines.iter().map(|line| line.trim()).collect();
        let text = lines.join(" ");
        let text = text.strip_suffix('.').unwrap_or(&text);
        let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
        let capitalized = first.starts_with(char::is_uppercase) && first.chars().skip(1).all(|c| !c.is_uppercase() && c != '/');
        let mut phrase = if capitalized { first.to_lowercase() } else { first.to_owned() };
        if !rest.is_empty() {
            phrase = format!("{phrase} {rest}");
        }
        match self.see {
            Some(link) => format!("{phrase}; see {link}"),
            None => phrase,
        }
    }
}

/// Defines a section's type as it is written, and notes its keys in `KEYS`. A field without a comment does not compile. What stands between
/// comment and field is for the reference:
///
/// - `#[default = "required"]`: words where the default is no value that the program could show; a test holds that it shows none.
/// - `#[see = "[traces](traces.md)"]`: a link from `docs/`, which would lead nowhere in a comment.
macro_rules! documented {
    (
        $(#[$attribute:meta])*
        pub struct $Section:ident {
            $(
                $(#[doc = $line:literal])+
                $(#[default = $words:literal])?
                $(#[see = $link:literal])?
                pub $key:ident: $Type:ty,
            )+
        }
    ) => {
        $(#[$attribute])*
        pub struct $Section {
            $(
                $(#[doc = $line])+
                $(#[doc = concat!("\n\nBy default: ", $words, ".")])?
                pub $key: $Type,
            )+
        }

        impl $Section {
            /// Its keys, in the order of the reference.
            pub(super) const KEYS: &'static [$crate::config::documented::Key] = &[$(
                $crate::config::documented::Key::new(stringify!($key), &[$($line),+], &[$($words)?], &[$($link)?])
            ),+];
        }
    };
}

pub(super) use documented;

#[cfg(test)]
mod tests {
    documented! {
        /// For the tests.
        #[derive(Debug)]
        #[allow(dead_code)]
        pub struct Section {
            /// How long, at
            /// most. Not less.
            pub time: u32,
            /// TLS or none.
            #[default = "the client's own"]
            #[see = "[TLS](tls.md)"]
            pub tls: bool,
            /// `a`, `b`
            #[see = "[b](b.md)"]
            pub letter: char,
            /// Alone.
            pub one: u8,
        }
    }

    #[test]
    fn a_comment_becomes_a_phrase() {
        let told: Vec<_> = Section::KEYS.iter().map(|key| (key.name, key.description(), key.default)).collect();
        let expected = [
            ("time", "how long, at most. Not less", None),
            ("tls", "TLS or none; see [TLS](tls.md)", Some("the client's own")),
            ("letter", "`a`, `b`; see [b](b.md)", None),
            ("one", "alone", None),
        ];
        assert_eq!(told, expected.map(|(name, description, default)| (name, description.to_owned(), default)));
    }
}
