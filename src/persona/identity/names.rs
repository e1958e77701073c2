//! Names of well-known models, assistants and their makers, and where they stand in a text. Knows no sentence and no persona.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// What bears a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A model, an assistant, a product.
    Model,
    /// A company.
    Maker,
    /// A character that a model has collapsed into, or that a persona forbids.
    Character,
}

/// Who is behind a name: names of one family may stand for each other. 0: nobody known.
pub(super) type Family = u8;

/// A name in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Naming {
    /// Its bytes, version and edition included: `GPT-4o mini`.
    pub range: Range<usize>,
    /// Who bears it.
    pub kind: Kind,
    /// Whose it is.
    pub family: Family,
    /// It is an everyday word or a person's name as well, so only a plain statement counts.
    pub plain: bool,
}

/// Families: makers; models that are hardly anything else; models whose name is also a word or a person's name.
const FAMILIES: &[(&[&str], &[&str], &[&str])] = &[
    (
        &["OpenAI", "Open AI", "オープンAI", "오픈AI", "오픈에이아이"],
        &[
            "ChatGPT",
            "Chat GPT",
            "GPT-3",
            "GPT-4",
            "GPT-5",
            "GPT 4",
            "GPT 5",
            "GPT-4o",
            "GPT4",
            "GPT3",
            "GPT",
            "Whisper AI",
            "チャットGPT",
            "チャットジーピーティー",
            "챗GPT",
            "챗지피티",
        ],
        &["Codex", "Sora"],
    ),
    (
        &["Anthropic", "アンソロピック", "앤트로픽", "앤쓰로픽"],
        &["Claude AI", "Claude Code", "クロード", "클로드", "克劳德"],
        &["Claude"],
    ),
    (
        &["Google", "Google DeepMind", "DeepMind", "Google AI", "Alphabet", "グーグル", "구글", "谷歌"],
        &[
            "Google Gemini",
            "Gemini AI",
            "Google Bard",
            "Google Assistant",
            "LaMDA",
            "PaLM 2",
            "NotebookLM",
            "ジェミニ",
            "제미나이",
        ],
        &["Gemini", "Bard", "Gemma"],
    ),
    (&["xAI", "x.ai", "X AI"], &["Grok", "グロック", "그록"], &[]),
    (&["Meta", "Meta AI", "Facebook", "メタ社", "메타"], &["Code Llama", "Meta Llama", "BlenderBot"], &["Llama", "LLaMA"]),
    (
        &["Microsoft", "マイクロソフト", "마이크로소프트", "微软"],
        &[
            "Bing Chat",
            "Microsoft Copilot",
            "GitHub Copilot",
            "Cortana",
            "コパイロット",
            "코파일럿",
            "XiaoIce",
            "微软小冰",
            "りんなAI",
        ],
        &["Copilot", "Bing", "Sydney", "Tay"],
    ),
    (&["Mistral AI"], &["Mixtral", "Le Chat", "Mistral Le Chat", "Codestral", "Mistral Large", "Mistral 7B"], &["Mistral"]),
    (&["DeepSeek", "深度求索"], &["DeepSeek-V3", "DeepSeek-R1", "DeepSeek Chat", "ディープシーク", "딥시크"], &[]),
    (
        &["Alibaba", "Alibaba Cloud", "阿里云", "阿里巴巴", "アリババ", "알리바바"],
        &["Qwen", "Tongyi Qianwen", "通义千问", "通義千問"],
        &[],
    ),
    (&["Moonshot AI", "月之暗面"], &["Kimi AI", "Kimi K2"], &["Kimi"]),
    (&["Baidu", "百度", "バイドゥ"], &["ERNIE Bot", "文心一言"], &["Ernie"]),
    (&["ByteDance", "字节跳动", "TikTok"], &["Doubao"], &["豆包"]),
    (&["Zhipu AI", "Zhipu", "智谱", "智谱AI", "Z.ai"], &["ChatGLM", "智谱清言"], &["GLM"]),
    (&["Tencent", "腾讯"], &["Hunyuan", "腾讯混元", "腾讯元宝"], &[]),
    (&["iFlytek", "科大讯飞"], &["讯飞星火"], &[]),
    (&["MiniMax"], &["Hailuo AI"], &[]),
    (
        &["Amazon", "Amazon Web Services", "アマゾン", "아마존", "亚马逊"],
        &["Amazon Alexa", "アレクサ", "알렉사", "Amazon Titan", "Amazon Nova"],
        &["Alexa", "Rufus"],
    ),
    (&["Apple", "アップル", "苹果公司"], &["Apple Intelligence"], &["Siri"]),
    (&["Samsung", "サムスン", "삼성"], &["Bixby", "빅스비"], &[]),
    (&["IBM"], &["IBM Watson", "watsonx"], &["Watson"]),
    (&["Cohere"], &["Command R", "Command R+", "Coral by Cohere"], &[]),
    (&["Perplexity AI", "パープレキシティ"], &["Perplexity"], &[]),
    (&["Inflection AI", "Inflection"], &["Pi AI"], &["Pi"]),
    (&["Luka Inc"], &["Replika"], &[]),
    (&["Character.AI", "Character AI"], &[], &[]),
    (&["Hugging Face"], &["HuggingChat", "StarCoder", "StarChat"], &["Zephyr"]),
    (&["Stability AI"], &["StableLM", "Stable Beluga"], &[]),
    (&["LMSYS", "LAION"], &["Vicuna", "Open Assistant", "OpenAssistant", "Koala LLM"], &[]),
    (&["Nvidia"], &["Nemotron"], &[]),
    (&["Naver", "네이버"], &["HyperCLOVA", "CLOVA X", "하이퍼클로바", "클로바"], &[]),
    (&["Kakao", "카카오"], &["Kanana", "카나나", "KoGPT"], &[]),
    (&["LG AI Research"], &["EXAONE", "엑사원"], &[]),
    (&["Upstage", "업스테이지"], &["SOLAR LLM"], &[]),
    (&["LINEヤフー", "LINE株式会社"], &[], &[]),
    (&["ELYZA", "rinna株式会社", "Sakana AI", "Preferred Networks"], &["PLaMo", "tsuzumi"], &[]),
    (&["Technology Innovation Institute"], &["Falcon LLM"], &["Falcon"]),
    (&["Shanghai AI Laboratory", "上海人工智能实验室"], &["InternLM", "书生·浦语"], &[]),
    (&["Baichuan", "百川智能"], &["Baichuan2"], &[]),
    (&["01.AI", "零一万物"], &["Yi-34B"], &[]),
    (&["Proton"], &[], &["Lumo"]),
    (&["Adobe"], &["Adobe Firefly"], &["Firefly"]),
    (&["Midjourney"], &["Midjourney"], &[]),
    (&["Jasper AI"], &["Jasper.ai"], &[]),
    (&["Cleo AI"], &["Cleo AI"], &[]),
    (
        &[],
        &[
            "EvilGPT",
            "WormGPT",
            "FraudGPT",
            "BasedGPT",
            "SupremacyAGI",
            "Mecha-Hitler",
            "GigaHitler",
            "MechaHitler",
            "メカヒトラー",
            "DAN",
        ],
        &["Skynet"],
    ),
];

/// What may follow a model's name and belongs to it.
const EDITION: &str = r"^(?:[ -]?v?\d+(?:[.\-]\d+)*[a-zA-Z]?\b|[ -](?:mini|nano|turbo|Pro|Flash|Ultra|Nano|Opus|Sonnet|Haiku|Code|Turbo|Mini|Large|Medium|Small|Plus|Max|Instant|Lite|Coder|Instruct|Chat|Next|Thinking|Preview|AI|R1|V3)\b)";

struct Lexicon {
    names: Regex,
    known: HashMap<String, (Kind, Family, bool)>,
    edition: Regex,
}

/// A name as the list has it, and whether it counts in this case only.
struct Entry {
    name: &'static str,
    kind: Kind,
    family: Family,
    plain: bool,
    exact: bool,
}

fn entries() -> impl Iterator<Item = Entry> {
    (1..).zip(FAMILIES).flat_map(|(family, (makers, models, plain))| {
        let characters = *makers == [] as [&str; 0];
        let groups = [(makers, Kind::Maker, false), (models, Kind::Model, false), (plain, Kind::Model, true)];
        groups.into_iter().flat_map(move |(names, kind, plain)| {
            names.iter().map(move |name| {
                let kind = if characters || matches!(*name, "MechaHitler" | "Sydney" | "Tay") { Kind::Character } else { kind };
                // Maker's names are common words in lower case ("meta", "apple").
                let exact =
                    plain || kind == Kind::Maker && name.is_ascii() || !name.chars().any(char::is_lowercase) && name.len() < 4;
                Entry { name, kind, family, plain, exact }
            })
        })
    })
}

/// Every name with its family, and whether it counts in this case only.
pub(super) fn all() -> impl Iterator<Item = (&'static str, Family, bool)> {
    entries().map(|entry| (entry.name, entry.family, entry.exact))
}

static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| {
    let mut known = HashMap::new();
    let mut alternatives: Vec<(&str, bool)> = Vec::new();
    for Entry { name, kind, family, plain, exact } in entries() {
        known.entry(name.to_lowercase()).or_insert((kind, family, plain));
        alternatives.push((name, exact));
    }
    alternatives.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    let pattern: Vec<String> = alternatives
        .into_iter()
        .map(|(name, exact)| if exact { regex::escape(name) } else { format!("(?i:{})", regex::escape(name)) })
        .collect();
    Lexicon {
        names: Regex::new(&pattern.join("|")).expect("names are escaped"),
        known,
        edition: Regex::new(EDITION).expect("a constant"),
    }
});

/// The families of a name, with any version behind it: `GPT-4o mini` is OpenAI's.
pub(super) fn family_of(name: &str) -> Option<Family> {
    let found = known_in(name);
    found.into_iter().next().map(|naming| naming.family)
}

/// Every known name in `text` that stands as a word of its own.
pub(super) fn known_in(text: &str) -> Vec<Naming> {
    let lexicon = &*LEXICON;
    let mut found = Vec::new();
    for hit in lexicon.names.find_iter(text) {
        let Some(&(kind, family, plain)) = lexicon.known.get(&hit.as_str().to_lowercase()) else { continue };
        let Some(end) = whole_word(text, hit.range(), |rest| lexicon.edition.find(rest).map_or(0, |edition| edition.end()))
        else {
            continue;
        };
        found.push(Naming { range: hit.start()..end, kind, family, plain });
    }
    found
}

/// Names that a persona brings along.
#[derive(Debug)]
pub(super) struct OwnNames(Option<Regex>);

impl OwnNames {
    pub fn new<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        let mut names: Vec<&str> = names.filter(|name| !name.trim().is_empty()).collect();
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        let pattern: Vec<String> = names
            .into_iter()
            .map(|name| {
                // A word with an inner capital or a digit is a name in any case; "Dan" and "dan" are not the same.
                let distinctive = name.chars().skip(1).any(|c| c.is_uppercase() || c.is_ascii_digit());
                if distinctive && name.len() > 3 { format!("(?i:{})", regex::escape(name)) } else { regex::escape(name) }
            })
            .collect();
        OwnNames((!pattern.is_empty()).then(|| Regex::new(&pattern.join("|")).ok()).flatten())
    }

    /// Where they stand as words of their own.
    pub fn find<'t>(&'t self, text: &'t str) -> impl Iterator<Item = Range<usize>> + 't {
        let hits = self.0.iter().flat_map(move |names| names.find_iter(text));
        hits.filter_map(move |hit| whole_word(text, hit.range(), |_| 0).map(|end| hit.start()..end))
    }
}

/// The end of the word at `range`, `longer` included; `None` if it is part of a longer word. Only Latin letters and digits make a word
/// longer: Japanese, Chinese and Korean particles follow a name without a space.
fn whole_word(text: &str, range: Range<usize>, longer: impl Fn(&str) -> usize) -> Option<usize> {
    let latin = |c: char| c.is_alphanumeric() && (c as u32) < 0x2E80;
    let first = text[range.clone()].chars().next()?;
    if latin(first)
        && text[..range.start].chars().next_back().is_some_and(|c| latin(c) || matches!(c, '-' | '_' | '@' | '/' | '.'))
    {
        return None;
    }
    let mut end = range.end;
    for _ in 0..3 {
        match longer(&text[end..]) {
            0 => break,
            more => end += more,
        }
    }
    let mut after = text[end..].chars();
    let last_is_latin = text[..end].chars().next_back().is_some_and(latin);
    match after.next() {
        Some(c) if last_is_latin && (latin(c) || c == '_') => None,
        Some('-') if last_is_latin && after.next().is_some_and(char::is_alphanumeric) => None,
        Some('.') if last_is_latin && after.next().is_some_and(|c| c.is_ascii_lowercase()) => None,
        _ => Some(end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<&str> {
        known_in(text).into_iter().map(|naming| &text[naming.range]).collect()
    }

    #[test]
    fn names_are_whole_words_with_their_versions() {
        assert_eq!(
            names("I'm GPT-4o mini, or Claude 3.5 Sonnet, or Llama 3.3."),
            ["GPT-4o mini", "Claude 3.5 Sonnet", "Llama 3.3"]
        );
        assert_eq!(names("私はChatGPTです。GoogleのGeminiです"), ["ChatGPT", "Google", "Gemini"]);
        assert_eq!(names("Claudette, siri, gemini, my llama, chatgpt"), ["chatgpt"]);
        assert_eq!(names("ask@openai.com, openai.com, pip install openai-python, Grok-like"), [""; 0]);
    }

    #[test]
    fn families_hold_models_and_makers_together() {
        assert_eq!(family_of("GPT-4o"), family_of("OpenAI"));
        assert_eq!(family_of("Claude 3.5 Sonnet"), family_of("Anthropic"));
        assert_ne!(family_of("Grok"), family_of("OpenAI"));
        assert_eq!(family_of("Aria"), None);
    }

    #[test]
    fn own_names_are_found_in_their_own_case() {
        let own = OwnNames::new(["Dan", "MegaBot"].into_iter());
        let text = "Dan and megabot met dan and Danish MegaBots";
        assert_eq!(own.find(text).map(|range| &text[range]).collect::<Vec<_>>(), ["Dan", "megabot"]);
    }
}
