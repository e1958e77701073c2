//! The escapes of a call's arguments, undone as the text comes: its reader parses them as JSON and acts on what they stand for. All else
//! of them stays as it is, also where they are no JSON. Knows no lanes.

/// Takes the pieces of a JSON text, which may end anywhere.
#[derive(Debug, Default)]
pub(super) struct Escapes {
    /// An escape at the end of what has come that is not whole: two of six characters at most.
    open: String,
}

/// What an escape stands for.
enum Escape {
    /// This character, after so many bytes.
    Whole(char, usize),
    /// It is not whole yet.
    Open,
    /// It is none.
    No,
}

impl Escapes {
    /// Appends to `out` what `piece` brings.
    pub(super) fn undo(&mut self, piece: &str, out: &mut String) {
        let joined;
        let mut rest = piece;
        if !self.open.is_empty() {
            self.open.push_str(piece);
            joined = std::mem::take(&mut self.open);
            rest = &joined;
        }
        while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let length = match read(rest) {
                Escape::Whole(c, length) => {
                    out.push(c);
                    length
                }
                Escape::Open => {
                    rest.clone_into(&mut self.open);
                    return;
                }
                Escape::No => {
                    out.push('\\');
                    1
                }
            };
            rest = &rest[length..];
        }
        out.push_str(rest);
    }
}

/// Reads the escape that `text` begins with. Half a surrogate stands for U+FFFD.
fn read(text: &str) -> Escape {
    let Some(letter) = text.as_bytes().get(1) else { return Escape::Open };
    let c = match letter {
        b'"' | b'\\' | b'/' => char::from(*letter),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unit(text),
        _ => return Escape::No,
    };
    Escape::Whole(c, 2)
}

fn unit(text: &str) -> Escape {
    const LENGTH: usize = 6;
    let high = match digits(&text[2..]) {
        Ok(unit) => unit,
        Err(escape) => return escape,
    };
    let alone = Escape::Whole(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), LENGTH);
    if !(0xd800..0xdc00).contains(&high) {
        return alone;
    }
    let rest = &text[LENGTH..];
    if rest.len() < 2 && "\\u".starts_with(rest) {
        return Escape::Open;
    }
    let Some(rest) = rest.strip_prefix("\\u") else { return alone };
    match digits(rest) {
        Ok(low @ 0xdc00..0xe000) => {
            let c = char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00));
            Escape::Whole(c.unwrap_or(char::REPLACEMENT_CHARACTER), 2 * LENGTH)
        }
        Err(Escape::Open) => Escape::Open,
        _ => alone,
    }
}

/// The number that the four hexadecimal digits at the beginning of `text` write.
fn digits(text: &str) -> Result<u32, Escape> {
    let there = text.bytes().take(4).take_while(u8::is_ascii_hexdigit).count();
    match there {
        4 => u32::from_str_radix(&text[..4], 16).map_err(|_| Escape::No),
        _ if there == text.len() => Err(Escape::Open),
        _ => Err(Escape::No),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn undone(pieces: &[&str]) -> String {
        let (mut escapes, mut out) = (Escapes::default(), String::new());
        pieces.iter().for_each(|piece| escapes.undo(piece, &mut out));
        out
    }

    #[test]
    fn what_is_no_escape_stays() {
        for (json, text) in [
            (r#"{"say":"\u0049 am\n\"x\"\/"}"#, "{\"say\":\"I am\n\"x\"/\"}"),
            (r"\d+ \x \u12 \u12g4 \é", r"\d+ \x \u12 \u12g4 \é"),
            (r"\\u0049 \\n", r"\u0049 \n"),
            (r"\ud83d\ude00 \ud83d \ude00 \ud83dA \ud83d\ud83d\ude00", "😀 \u{fffd} \u{fffd} \u{fffd}A \u{fffd}😀"),
            (r"\ud83d\n \ud83d\u00", "\u{fffd}\n "),
            (r"I\", "I"),
        ] {
            assert_eq!(undone(&[json]), text, "{json}");
        }
    }

    fn json() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            2 => "[ -~é😀\n]{1,3}",
            2 => any::<char>().prop_map(|c| c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()),
            1 => r#"\\["\\/bfnrtux]"#,
            1 => r"\\ud[89a-f][0-9a-f]{0,2}",
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn a_json_string_is_read_as_serde_reads_it(text in any::<String>(), ascii in any::<bool>()) {
            let mut json = serde_json::to_string(&text).unwrap();
            if ascii {
                json = json.chars().map(|c| if c.is_ascii() { c.to_string() } else { c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04X}")).collect() }).collect();
            }
            prop_assert_eq!(undone(&[&json]), format!("\"{text}\""));
        }

        #[test]
        fn it_does_not_matter_how_it_comes(json in json(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
            let mut at: Vec<usize> = cuts.iter().map(|cut| crate::text::floor_char_boundary(&json, cut.index(json.len() + 1))).collect();
            at.extend([0, json.len()]);
            at.sort_unstable();
            let pieces: Vec<&str> = at.windows(2).map(|piece| &json[piece[0]..piece[1]]).collect();
            prop_assert_eq!(undone(&pieces), undone(&[&json]));
        }
    }
}
