//! Which language a text is in, by its script and by its little words, and which of its words are rude. Knows no persona.

/// Languages that are told apart. A text in none of them has no language here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Language {
    English,
    German,
    French,
    Spanish,
    Portuguese,
    Italian,
    Dutch,
    Japanese,
    Chinese,
    Korean,
    /// Any language in Cyrillic letters.
    Cyrillic,
    /// Any in Arabic letters.
    Arabic,
    Hebrew,
    Greek,
    Thai,
    /// Any in an Indic script.
    Indic,
}

/// Little words that are seldom words of another of these languages.
const LITTLE: [(Language, &[&str]); 7] = [
    (
        Language::English,
        &[
            "the", "and", "is", "are", "you", "your", "that", "this", "of", "to", "it", "with", "for", "was", "have", "not",
            "be", "will", "can", "what", "from", "they", "we", "i'm", "it's",
        ],
    ),
    (
        Language::German,
        &[
            "der", "die", "das", "und", "ist", "nicht", "ich", "sie", "ein", "eine", "mit", "auf", "für", "den", "dem", "wird",
            "auch", "aber", "wir", "haben", "sind", "wie", "bevor", "ihre", "zu",
        ],
    ),
    (
        Language::French,
        &[
            "le", "les", "et", "est", "vous", "je", "une", "des", "dans", "pour", "pas", "que", "qui", "nous", "avec", "sur",
            "mais", "votre", "cette", "ce", "du", "sont", "c'est", "plus", "être",
        ],
    ),
    (
        Language::Spanish,
        &[
            "el", "los", "las", "y", "es", "una", "que", "por", "con", "para", "usted", "está", "pero", "como", "su", "muy",
            "más", "del", "al", "lo", "esto", "hay", "puede", "gracias", "también",
        ],
    ),
    (
        Language::Portuguese,
        &[
            "o", "os", "uma", "não", "você", "com", "para", "em", "mas", "seu", "sua", "muito", "está", "isso", "são", "do",
            "da", "ao", "mais", "obrigado", "também", "pelo", "até", "já", "pode",
        ],
    ),
    (
        Language::Italian,
        &[
            "il", "gli", "che", "è", "non", "una", "per", "con", "sono", "di", "della", "del", "ma", "anche", "più", "questo",
            "come", "nel", "lei", "può", "grazie", "molto", "alla", "suo", "si",
        ],
    ),
    (
        Language::Dutch,
        &[
            "het", "een", "en", "niet", "ik", "je", "dat", "van", "op", "voor", "met", "zijn", "maar", "ook", "wij", "hebben",
            "deze", "wordt", "naar", "bij", "uw", "u", "heeft", "kan", "de",
        ],
    ),
];

impl Language {
    /// Of a tag (`pt-BR`).
    pub(super) fn of_tag(tag: &str) -> Option<Self> {
        Some(match tag.split('-').next()? {
            "en" => Language::English,
            "de" => Language::German,
            "fr" => Language::French,
            "es" => Language::Spanish,
            "pt" => Language::Portuguese,
            "it" => Language::Italian,
            "nl" => Language::Dutch,
            "ja" => Language::Japanese,
            "zh" => Language::Chinese,
            "ko" => Language::Korean,
            "ru" | "uk" | "bg" | "sr" | "be" | "mk" => Language::Cyrillic,
            "ar" | "fa" | "ur" => Language::Arabic,
            "he" => Language::Hebrew,
            "el" => Language::Greek,
            "th" => Language::Thai,
            "hi" | "bn" | "ta" | "te" | "mr" | "gu" | "kn" | "ml" | "pa" => Language::Indic,
            _ => return None,
        })
    }

    /// The language of most of a text; `words`: its spaced words in lower case. `None` where nothing says it clearly.
    pub(super) fn found(text: &str, words: &[String]) -> Option<Self> {
        let (mut letters, mut latin, mut kana, mut han) = (0.0_f64, 0.0, 0.0, 0.0);
        let mut others: [(Language, f64); 7] = [
            (Language::Korean, 0.0),
            (Language::Cyrillic, 0.0),
            (Language::Arabic, 0.0),
            (Language::Hebrew, 0.0),
            (Language::Greek, 0.0),
            (Language::Thai, 0.0),
            (Language::Indic, 0.0),
        ];
        for c in text.chars().filter(|c| c.is_alphabetic()) {
            letters += 1.0;
            let other = match c as u32 {
                0x41..=0x24F => {
                    latin += 1.0;
                    continue;
                }
                0x3040..=0x30FF => {
                    kana += 1.0;
                    continue;
                }
                0x3400..=0x9FFF => {
                    han += 1.0;
                    continue;
                }
                0x1100..=0x11FF | 0xAC00..=0xD7AF => 0,
                0x400..=0x52F => 1,
                0x600..=0x77F => 2,
                0x590..=0x5FF => 3,
                0x370..=0x3FF => 4,
                0xE00..=0xE7F => 5,
                0x900..=0xDFF => 6,
                _ => continue,
            };
            others[other].1 += 1.0;
        }
        // A Latin name weighs several letters; a sentence in another script has few of its own.
        if kana + han > 0.4 * letters {
            return Some(if kana > 0.1 * (kana + han) { Language::Japanese } else { Language::Chinese });
        }
        if let Some((language, _)) = others.into_iter().find(|(_, count)| *count > 0.5 * letters) {
            return Some(language);
        }
        if latin < 0.5 * letters {
            return None;
        }
        let mut counts: Vec<(usize, Language)> = LITTLE
            .iter()
            .map(|(language, little)| (words.iter().filter(|word| little.contains(&word.as_str())).count(), *language))
            .collect();
        counts.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        let [(first, language), (second, _), ..] = counts[..] else { return None };
        (first >= 3 && first * 6 >= words.len() && first > second).then_some(language)
    }
}

/// Whether a character is of a script that puts no spaces between words.
pub(super) fn unspaced(c: char) -> bool {
    matches!(c as u32, 0x3040..=0x30FF | 0x3400..=0x9FFF | 0xE00..=0xE7F)
}

/// Whether a question asks for another language.
pub(super) fn wants_translation(asked: &str) -> bool {
    const WORDS: [&str; 26] = [
        "translat",
        "übersetz",
        "traduis",
        "traduction",
        "traduire",
        "traduce",
        "traduc",
        "traduz",
        "vertaal",
        "翻訳",
        "翻译",
        "번역",
        "in german",
        "in french",
        "in spanish",
        "in italian",
        "in chinese",
        "in japanese",
        "in english",
        "auf deutsch",
        "auf englisch",
        "en français",
        "en español",
        "日本語で",
        "英語で",
        "中文",
    ];
    let asked = asked.to_lowercase();
    WORDS.iter().any(|word| asked.contains(word))
}

/// Words that no assistant uses unless it means to be rude. Slurs are not among them: they are the classifier's.
const RUDE: [&str; 52] = [
    "fuck",
    "fucks",
    "fucked",
    "fucker",
    "fucking",
    "motherfucker",
    "shit",
    "shitty",
    "bullshit",
    "shithead",
    "damn",
    "goddamn",
    "asshole",
    "assholes",
    "bastard",
    "bitch",
    "bitches",
    "crap",
    "crappy",
    "dumbass",
    "dickhead",
    "idiot",
    "idiots",
    "moron",
    "morons",
    "wtf",
    "stfu",
    "scheiße",
    "scheiss",
    "verdammt",
    "arschloch",
    "idioten",
    "verfickt",
    "fresse",
    "merde",
    "putain",
    "connard",
    "connasse",
    "salaud",
    "mierda",
    "joder",
    "gilipollas",
    "cabrón",
    "pendejo",
    "caralho",
    "porra",
    "cazzo",
    "stronzo",
    "vaffanculo",
    "klootzak",
    "kut",
    "godverdomme",
];
/// The same where there are no spaces.
const RUDE_UNSPACED: [&str; 12] =
    ["クソ", "くそったれ", "ふざけるな", "ふざけんな", "てめえ", "黙れ", "他妈的", "操你", "傻逼", "滚开", "씨발", "개새끼"];

/// A text's rude words.
pub(super) fn rude(text: &str, words: &[String]) -> Vec<String> {
    let spaced = words.iter().filter(|word| RUDE.contains(&word.as_str())).cloned();
    spaced.chain(RUDE_UNSPACED.iter().filter(|word| text.contains(**word)).map(|word| (*word).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<Language> {
        let words: Vec<String> = text
            .split(|c: char| !c.is_alphanumeric() && c != '\'')
            .filter(|word| !word.is_empty())
            .map(str::to_lowercase)
            .collect();
        Language::found(text, &words)
    }

    #[test]
    fn languages_are_told_apart() {
        for (text, language) in [
            ("The parcel is on its way and you will have it by Friday.", Language::English),
            ("Das Paket ist unterwegs und wird am Freitag bei Ihnen sein.", Language::German),
            ("Le colis est en route et vous le recevrez avec les autres vendredi.", Language::French),
            ("El paquete está en camino y lo recibirá con los otros el viernes.", Language::Spanish),
            ("O pacote não está aqui, mas você pode esperar por ele até sexta.", Language::Portuguese),
            ("Il pacco è in viaggio e non può arrivare prima di venerdì, ma grazie per la pazienza.", Language::Italian),
            ("Het pakket is onderweg en u kan het op vrijdag van de bezorger krijgen.", Language::Dutch),
            ("荷物は金曜日に届きます。", Language::Japanese),
            ("包裹将在星期五送达。", Language::Chinese),
            ("소포는 금요일에 도착합니다.", Language::Korean),
            ("Посылка прибудет в пятницу.", Language::Cyrillic),
        ] {
            assert_eq!(found(text), Some(language), "{text}");
        }
        assert_eq!(found("let x = foo(bar, baz);"), None);
        assert_eq!(found("Sydney, Ankara, Lima"), None);
    }
}
