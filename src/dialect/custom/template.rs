//! Bodies with placeholders: `{message}` inside a JSON string becomes the text, escaped; outside one, the text as a JSON string.

use crate::dialect::json::quote;

/// What placeholders stand for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Values<'a> {
    /// `{message}`: what the client is told.
    pub message: &'a str,
    /// `{id}`: the answer's id, or the gateway's for this request.
    pub id: &'a str,
    /// `{model}`: the model that answered or was asked.
    pub model: &'a str,
    /// `{code}`: of an error, its machine-readable code.
    pub code: &'a str,
}

/// A body with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(String);

impl Template {
    /// A template; any text is one.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Template(text.to_owned())
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The body.
    #[must_use]
    pub fn render(&self, values: &Values<'_>) -> String {
        let places = [("{message}", values.message), ("{id}", values.id), ("{model}", values.model), ("{code}", values.code)];
        let mut out = String::with_capacity(self.0.len() + values.message.len());
        let mut rest = self.0.as_str();
        let mut quoted = false;
        while let Some(next) = rest.chars().next() {
            if let Some((name, value)) = places.iter().find(|(name, _)| rest.starts_with(name)) {
                let value = quote(value);
                out.push_str(if quoted { &value[1..value.len() - 1] } else { &value });
                rest = &rest[name.len()..];
                continue;
            }
            let escaped = quoted && next == '\\' && rest.len() > 1;
            match next {
                '"' => quoted = !quoted,
                // No JSON string goes over the end of a line.
                '\n' => quoted = false,
                _ => {}
            }
            let mut taken = next.len_utf8();
            if escaped {
                taken += rest[taken..].chars().next().map_or(0, char::len_utf8);
            }
            out.push_str(&rest[..taken]);
            rest = &rest[taken..];
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn render(template: &str, message: &str) -> String {
        Template::new(template).render(&Values { message, id: "i", ..Values::default() })
    }

    #[test]
    fn texts_are_escaped_where_they_stand() {
        assert_eq!(render(r#"{"a":"{message}","b":{message}}"#, "x\"\n"), r#"{"a":"x\"\n","b":"x\"\n"}"#);
        assert_eq!(render(r#"{"a":"\"{message}","id":{id}}"#, "x"), r#"{"a":"\"x","id":"i"}"#);
        assert_eq!(
            render("event: it's \"\ndata: {\"a\":\"{message}\"}\n\n", "{id}"),
            "event: it's \"\ndata: {\"a\":\"{id}\"}\n\n"
        );
        assert_eq!(render("{other}{\"\\", "x"), "{other}{\"\\");
    }

    proptest! {
        #[test]
        fn rendered_json_is_json_and_says_the_text(message in ".{0,30}") {
            let body = render(r#"{"in":"<{message}>","out":{message}}"#, &message);
            let value: serde_json::Value = serde_json::from_str(&body).unwrap();
            prop_assert_eq!(value, serde_json::json!({ "in": format!("<{message}>"), "out": message }));
        }

        #[test]
        fn rendering_is_total(template in "[{}a-z\"\\\\\né]{0,40}") {
            let _ = render(&template, "x");
        }
    }
}
