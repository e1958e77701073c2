//! Which model family's own JSON an InvokeModel request is in: its body says so, else the model's name. Knows no answer.

use std::borrow::Cow;

use crate::dialect::json::{Members, Raw};

/// A family's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Converse, and Amazon Nova, whose own format it is.
    Converse,
    /// Nova by InvokeModel: events are wrapped by their name.
    Nova,
    /// Claude: Anthropic Messages.
    Messages,
    /// Claude's legacy text completion.
    Complete,
    /// Chat Completions: gpt-oss, DeepSeek, Jamba, Qwen, Writer, …
    Chat,
    /// Completions: imported models.
    Completions,
    /// Cohere's first chat.
    CohereChat,
    /// Cohere's generation.
    CohereGenerate,
    /// Meta Llama.
    Llama,
    /// Amazon Titan.
    Titan,
    /// Mistral's text completion.
    Mistral,
    /// AI21 Jurassic.
    Jurassic,
    /// TwelveLabs Pegasus.
    Pegasus,
}

impl Family {
    const NAMES: [(&'static str, Family); 13] = [
        ("converse", Family::Converse),
        ("nova", Family::Nova),
        ("messages", Family::Messages),
        ("complete", Family::Complete),
        ("chat", Family::Chat),
        ("completions", Family::Completions),
        ("cohere-chat", Family::CohereChat),
        ("cohere-generate", Family::CohereGenerate),
        ("llama", Family::Llama),
        ("titan", Family::Titan),
        ("mistral", Family::Mistral),
        ("jurassic", Family::Jurassic),
        ("pegasus", Family::Pegasus),
    ];

    /// The word for it in [`crate::dialect::Exchange::variant`].
    pub(super) fn as_str(self) -> &'static str {
        Family::NAMES.iter().find(|(_, family)| *family == self).map_or("", |(name, _)| name)
    }

    /// The family of that word.
    pub(super) fn named(name: &str) -> Option<Family> {
        Family::NAMES.iter().find(|(word, _)| *word == name).map(|(_, family)| *family)
    }

    /// The family of an InvokeModel request; `None` where neither its body nor its model says.
    pub(super) fn of(request: Option<&Members<'_>>, model: Option<&str>) -> Option<Family> {
        let model = model.unwrap_or_default().to_ascii_lowercase();
        let by_model = || {
            let known = [
                ("nova", Family::Nova),
                ("anthropic", Family::Messages),
                ("titan", Family::Titan),
                ("meta.", Family::Llama),
                ("cohere.command-r", Family::CohereChat),
                ("cohere.command-text", Family::CohereGenerate),
                ("cohere.command-light", Family::CohereGenerate),
                ("ai21.j2", Family::Jurassic),
                ("twelvelabs.pegasus", Family::Pegasus),
            ];
            known.into_iter().find(|(name, _)| model.contains(name)).map(|(_, family)| family)
        };
        let Some(request) = request else { return by_model() };
        let has = |name: &str| request.get(name).is_some();
        if has("anthropic_version") {
            return Some(Family::Messages);
        }
        if has("messages") {
            return Some(match by_model() {
                Some(family @ (Family::Messages | Family::Nova)) => family,
                _ if has("schemaVersion") || has("inferenceConfig") || untyped(request) => Family::Nova,
                _ => Family::Chat,
            });
        }
        let says = [
            ("max_tokens_to_sample", Family::Complete),
            ("inputText", Family::Titan),
            ("max_gen_len", Family::Llama),
            ("message", Family::CohereChat),
            ("inputPrompt", Family::Pegasus),
        ];
        if let Some((_, family)) = says.iter().find(|(name, _)| has(name)) {
            return Some(*family);
        }
        match by_model() {
            Some(Family::Messages) => Some(Family::Complete),
            None | Some(Family::Nova | Family::Titan) if has("prompt") => {
                Some(if model.contains("mistral") { Family::Mistral } else { Family::Completions })
            }
            family => family,
        }
    }
}

/// Whether a request's messages have content blocks without a `type`, as Converse's and Nova's are.
fn untyped(request: &Members<'_>) -> bool {
    let messages = request.get("messages").and_then(Raw::maybe::<Vec<Members<'_>>>).unwrap_or_default();
    let blocks = messages.iter().filter_map(|message| message.get("content")?.maybe::<Vec<Members<'_>>>()).flatten();
    let mut blocks = blocks.peekable();
    blocks.peek().is_some() && blocks.all(|block| block.get("type").is_none())
}

/// The member of a request that holds its one prompt.
pub(super) fn prompt<'a>(request: &Members<'a>) -> Option<Raw<'a>> {
    ["prompt", "inputText", "inputPrompt"].iter().find_map(|name| request.get(name)).filter(|raw| raw.is_string())
}

/// The text of [`prompt`].
pub(super) fn prompt_text<'a>(request: &Members<'a>) -> Option<Cow<'a, str>> {
    prompt(request).and_then(Raw::str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_says_it_before_the_model_does() {
        let profile = "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc123";
        for (model, body, family) in [
            (
                "anthropic.claude-3-haiku-v1:0",
                r#"{"anthropic_version":"bedrock-2023-05-31","messages":[]}"#,
                Some(Family::Messages),
            ),
            (profile, r#"{"anthropic_version":"bedrock-2023-05-31","messages":[]}"#, Some(Family::Messages)),
            ("anthropic.claude-v2", r#"{"prompt":"x","max_tokens_to_sample":9}"#, Some(Family::Complete)),
            ("anthropic.claude-v2", r#"{"prompt":"x"}"#, Some(Family::Complete)),
            ("us.amazon.nova-lite-v1:0", r#"{"messages":[]}"#, Some(Family::Nova)),
            (profile, r#"{"schemaVersion":"messages-v1","messages":[]}"#, Some(Family::Nova)),
            (profile, r#"{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}"#, Some(Family::Nova)),
            (profile, r#"{"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}]}"#, Some(Family::Chat)),
            ("openai.gpt-oss-20b-1:0", r#"{"messages":[{"role":"user","content":"Hi"}]}"#, Some(Family::Chat)),
            ("meta.llama3-8b-instruct-v1:0", r#"{"prompt":"x"}"#, Some(Family::Llama)),
            (profile, r#"{"prompt":"x","max_gen_len":9}"#, Some(Family::Llama)),
            ("mistral.mistral-7b-instruct-v0:2", r#"{"prompt":"x"}"#, Some(Family::Mistral)),
            ("amazon.titan-text-lite-v1", r#"{"inputText":"x"}"#, Some(Family::Titan)),
            ("cohere.command-r-v1:0", r#"{"message":"x"}"#, Some(Family::CohereChat)),
            ("cohere.command-text-v14", r#"{"prompt":"x"}"#, Some(Family::CohereGenerate)),
            ("ai21.j2-mid-v1", r#"{"prompt":"x"}"#, Some(Family::Jurassic)),
            ("twelvelabs.pegasus-1-2-v1:0", r#"{"inputPrompt":"x"}"#, Some(Family::Pegasus)),
            (profile, r#"{"prompt":"x"}"#, Some(Family::Completions)),
            (profile, "{}", None),
        ] {
            assert_eq!(Family::of(Some(&serde_json::from_str(body).unwrap()), Some(model)), family, "{model} {body}");
        }
        assert_eq!(Family::of(None, Some("meta.llama3-8b")), Some(Family::Llama));
        for (name, family) in Family::NAMES {
            assert_eq!((Family::named(name), family.as_str()), (Some(family), name));
        }
    }
}
