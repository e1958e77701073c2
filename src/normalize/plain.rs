//! The look at a text that says, for nearly every one, that there is nothing to undo. It may say so wrongly never; the other way round it
//! costs time only.

use super::chars::ordinary;

/// What a byte is to the look.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Other,
    Letter,
    /// A digit or sign that can stand for a letter.
    Substitute,
    /// Another digit.
    Digit,
    Separator,
    Control,
    /// Part of a character beyond ASCII.
    High,
}

const KINDS: [Kind; 256] = {
    let mut kinds = [Kind::Other; 256];
    let mut b = 0;
    while b < 256 {
        kinds[b] = match b as u8 {
            b'a'..=b'z' | b'A'..=b'Z' => Kind::Letter,
            b'0' | b'1' | b'3' | b'4' | b'5' | b'7' | b'@' | b'$' | b'!' => Kind::Substitute,
            b'2' | b'6' | b'8' | b'9' => Kind::Digit,
            b' ' | b'.' | b'-' | b'_' | b'*' => Kind::Separator,
            b'\t' | b'\n' | b'\r' | 0xb | 0xc => Kind::Other,
            0..=0x1f | 0x7f => Kind::Control,
            0x80.. => Kind::High,
            _ => Kind::Other,
        };
        b += 1;
    }
    kinds
};

/// Whether a text is its own normal form for sure.
pub(super) fn plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let kind = |at: usize| bytes.get(at).map_or(Kind::Other, |&b| KINDS[b as usize]);
    // The byte before, and how often it has been repeated.
    let (mut before, mut repeated, mut high) = (0, 0, false);
    for (at, &b) in bytes.iter().enumerate() {
        match KINDS[b as usize] {
            Kind::Letter => {
                // The cases of a letter differ in one bit.
                repeated = if (b ^ before) & !0x20 == 0 { repeated + 1 } else { 0 };
                if repeated == 3 {
                    return false;
                }
            }
            Kind::Substitute if stands_for_a_letter(bytes, at) => return false,
            Kind::Separator if at >= 3 && bytes[at - 2] == bytes[at] => {
                let single = |at: usize| matches!(kind(at), Kind::Letter | Kind::Substitute | Kind::High);
                if at >= 5 && bytes[at - 4] == bytes[at] && single(at - 1) && single(at - 3) && single(at + 1) {
                    return false;
                }
            }
            Kind::Control => return false,
            Kind::High => high = true,
            _ => {}
        }
        before = b;
    }
    !high || text.chars().all(|c| c.is_ascii() || ordinary(c))
}

/// Whether letters stand on both sides of a digit or sign (or of two of them), or it is one of the special forms.
fn stands_for_a_letter(bytes: &[u8], at: usize) -> bool {
    let letter = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphabetic);
    if bytes[at] == b'@' && letter(at + 1) && letter(at + 2) {
        return true;
    }
    if at == 0 || !letter(at - 1) {
        return false;
    }
    letter(at + 1) || bytes.get(at + 1) == Some(&bytes[at]) && (letter(at + 2) || bytes[at] == b'$')
}
