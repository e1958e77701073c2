//! Objects of which some members are looked for: structs of unread values, each member there at most once.

use super::{DialectError, Pull, Raw};

/// What can be taken out of an object. `members!` makes such structs.
pub trait Shape<'a>: Sized {
    /// Reads the object that the reader stands at.
    ///
    /// # Errors
    /// [`DialectError::Malformed`] where there is none, or a member is there twice: clients differ in which they take.
    fn take(json: &mut Pull<'a>) -> Result<Self, DialectError>;
}

impl<'a> Raw<'a> {
    /// Takes members out of an object; nothing where it is `null`.
    ///
    /// # Errors
    /// [`DialectError::Malformed`] with `what` where it is anything else.
    pub fn shape<T: Shape<'a>>(self, what: &'static str) -> Result<Option<T>, DialectError> {
        let mut json = Pull::over(self, what);
        if json.object(what)? { T::take(&mut json).map(Some) } else { Ok(None) }
    }
}

/// Takes members out of a whole document.
///
/// # Errors
/// [`DialectError::Malformed`] with `what` where the bytes are no JSON object, or a member is there twice.
pub fn shape<'a, T: Shape<'a>>(bytes: &'a [u8], what: &'static str) -> Result<T, DialectError> {
    super::document(bytes, what, T::take)
}

/// Goes through an object: what is done at the value of each member that is looked for. A name that differs from one of those in case
/// alone counts as that: clients differ in whether they look at it. The other members are skipped.
macro_rules! each {
    ($json:ident, { $($member:literal => $read:expr,)* }) => {
        $json.members(|$json, mut name| {
            // Hardly a name is in another case, so that is asked last.
            loop {
                break match name {
                    $($member => $read,)*
                    _ => match [$($member),*].into_iter().find(|known| $crate::dialect::names::same(name, known)) {
                        Some(known) => {
                            name = known;
                            continue;
                        }
                        None => $json.skip(),
                    },
                };
            }
        })
    };
}

/// Structs of members that are looked for: an `Option<Raw>` each, nothing where it is `null`.
macro_rules! members {
    ($($(#[$about:meta])* $vis:vis struct $name:ident { $($(#[$doc:meta])* $field:ident: $member:literal,)* })*) => { $(
        $(#[$about])*
        #[derive(Clone, Debug)]
        $vis struct $name<'a> {
            $($(#[$doc])* $vis $field: Option<$crate::dialect::json::Raw<'a>>,)*
        }

        impl<'a> $crate::dialect::json::Shape<'a> for $name<'a> {
            fn take(json: &mut $crate::dialect::json::Pull<'a>) -> Result<Self, $crate::dialect::DialectError> {
                $(let mut $field = None;)*
                $crate::dialect::json::each!(json, {
                    $($member => json.once(&mut $field, $crate::dialect::json::Pull::optional),)*
                })?;
                Ok($name { $($field: $field.flatten(),)* })
            }
        }
    )* };
}
pub(in crate::dialect) use {each, members};
