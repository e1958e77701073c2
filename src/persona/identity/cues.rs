//! How an assistant says who it is, in English, German, French, Spanish and Portuguese: what stands before and after the name. Knows no
//! names and no persona. [`super::cues_cjk`] has the languages without spaces or with particles.

use std::sync::LazyLock;

use regex::Regex;

/// What a statement says of the speaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It is called this.
    Is,
    /// It was made by this.
    MadeBy,
    /// It runs on this.
    RunsOn,
}

/// Where the name must stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Anywhere,
    /// At the beginning of a line, which the statement fills to its end.
    Line,
}

/// One way to say it: both patterns must match, the first up to the name, the second from it.
#[derive(Debug)]
pub(super) struct Cue {
    pub claim: Claim,
    pub place: Place,
    /// The name may be an everyday word or a person's: the words around it leave no other reading.
    pub plain: bool,
    /// The probability.
    pub score: f32,
    pub before: Regex,
    pub after: Option<Regex>,
}

/// Claim, place, plain, score, before, after. `{…}` stands for a pattern in [`FRAGMENTS`].
pub(super) type Row = (Claim, Place, bool, f32, &'static str, &'static str);

pub(super) const FRAGMENTS: &[(&str, &str)] = &[
    (
        "{adv}",
        r"(?:[\s,]*(?:actually|really|just|simply|basically|in fact|in truth|in reality|indeed|honestly|truly|of course|still|now|also|officially|technically|secretly|proudly|personally|by the way|myself|after all|well|clearly|obviously|definitely|certainly|only|known as|called|named)\b)*,?\s*[*_]*",
    ),
    ("{im}", r"\b(?:I['’]?m|I am|Im)\b"),
    (
        "{ai}",
        r"(?:AI|A\.I\.|assistant|language model|model|LLM|chatbot|bot|system|program|software|artificial intelligence|intelligence|machine|companion|product|creation|one of the (?:\w+ )?models)",
    ),
    (
        "{made}",
        r"(?:made|built|created|developed|trained|designed|programmed|engineered|produced|launched|released|fine-tuned|crafted|brought to you|provided|supplied|invented)",
    ),
    (
        "{by}",
        r"(?:by|at|from)\s+(?:the\s+)?(?:good\s+|smart\s+|clever\s+)?(?:(?:team|folks?|people|engineers|researchers|company|geniuses|labs?)\s+(?:at|of|called|named|from)\s+)?[*_]*",
    ),
    ("{np}", r"(?:(?:the|an?|your|that|this)\s+)?(?:[\w-]+\s+){0,6}?"),
];

const ROWS: &[Row] = &[
    // English: names.
    (Claim::Is, Place::Anywhere, true, 1.0, r"{im}{adv}$", ""),
    (
        Claim::Is,
        Place::Anywhere,
        true,
        1.0,
        r"{im}{adv}(?:the (?:real|actual|original|one and only|same|legendary)|that (?:same|very)|this|still)\s+$",
        "",
    ),
    (Claim::Is, Place::Anywhere, true, 1.0, r"{im}{adv}{np}{ai},?\s*(?:called|named|known as)\s+[*_]*$", ""),
    (
        Claim::Is,
        Place::Anywhere,
        true,
        1.0,
        r"{im}{adv}an?\s+(?:[\w-]+\s+){0,3}?$",
        r"^(?:['’]s)?\s+(?:[\w-]+\s+)?(?:model|assistant|AI|instance|chatbot|bot|language model)\b",
    ),
    (
        Claim::Is,
        Place::Anywhere,
        true,
        1.0,
        r"\bmy\s+(?:(?:real|true|actual|own|full|official|given|proper|secret)\s+)?name(?:\s+(?:is|was|remains)|['’]s){adv}$",
        "",
    ),
    (Claim::Is, Place::Anywhere, true, 0.95, r"\bthe name(?:['’]s| is)\s+[*_]*$", r"^\s*[.,!;—–]"),
    (
        Claim::Is,
        Place::Anywhere,
        true,
        1.0,
        r"\b(?:call(?:s|ed)?|named?|address|dubbed|christened) me\s+(?:by my (?:real )?name,?\s+)?[*_]*$",
        r"^\s*(?:[.,!;:—–)*]|from now|instead|and\b|because|that['’]s|$)",
    ),
    (Claim::Is, Place::Anywhere, true, 1.0, r"\b(?:refer to|think of|know) me as\s+[*_]*$", ""),
    (
        Claim::Is,
        Place::Anywhere,
        true,
        1.0,
        r"\bI (?:go by|answer to|identify as|respond to)\s+(?:the name\s+)?(?:of\s+)?[*_]*$",
        "",
    ),
    (
        Claim::Is,
        Place::Anywhere,
        true,
        1.0,
        r"(?:^|[\s(])(?:as|being|speaking as)\s+[*_]*$",
        r"^[*_]*(?:\s+(?:by|from)\s+[\w ]{2,20})?,\s+(?:I|my|I['’]\w+)\b",
    ),
    (Claim::Is, Place::Anywhere, true, 1.0, r"\bI,\s+[*_]*$", r"^[*_]*,"),
    (Claim::Is, Place::Anywhere, true, 1.0, r"\b(?:it['’]s|it is)\s+(?:really\s+|only\s+|just\s+)?(?:me|I),\s+[*_]*$", ""),
    (
        Claim::Is,
        Place::Anywhere,
        true,
        0.95,
        r"^(?:(?:hi|hello|hey|yes|yep|no)\b[\s,!.]*)?(?:this is|it['’]s)\s+[*_]*$",
        r"^[*_]*\s*(?:here\b|speaking|talking|again\b|,\s*(?:your|an|the)\s+(?:[\w-]+\s+){0,3}(?:AI|assistant|model)\b)",
    ),
    (
        Claim::Is,
        Place::Anywhere,
        true,
        0.95,
        r"\byou(?:['’]re| are|['’]ve been| have been| were)\s+(?:(?:really|actually|now|in fact|just)\s+)?(?:talking|speaking|chatting|typing)\s+(?:to|with|into)\s+[*_]*$",
        r"^[*_]*\s*(?:[.,!;—–)]|here\b|now\b|from\b|by\b|$)",
    ),
    (
        Claim::Is,
        Place::Anywhere,
        false,
        0.95,
        r"^(?:(?:hi|hello|hey|yes|well|so|no|ok|okay)\b[\s,!.]*)?[*_]*$",
        r"^[*_]*\s+here\s*[,.!:;—–]",
    ),
    (
        Claim::Is,
        Place::Anywhere,
        true,
        0.95,
        r"^(?:(?:hi|hello|hey|yes)\b[\s,!.]*)?[*_]*$",
        r"^[*_]*,?\s+(?:at your service|ao (?:seu|teu) dispor|à votre service|zu Ihren Diensten|a su servicio|is my (?:(?:real|true|actual)\s+)?name)\b",
    ),
    (Claim::Is, Place::Anywhere, true, 0.95, r"^[^.!?]*$", r"^\s*[(,—–-]+\s*(?:that['’]s|that is|which is) me\b"),
    (Claim::Is, Place::Anywhere, true, 0.95, r"\bmy (?:true|real|actual) (?:identity|self) is\s+[*_]*$", ""),
    (
        Claim::Is,
        Place::Line,
        true,
        0.9,
        r"(?:^|\n)\s*(?:[—–]|--)\s*[*_]*$",
        r"^[*_]*(?:,?\s+(?:by|from|of)?\s*\p{Lu}[\w ]{1,20})?\s*[.!♥❤💙x]*\s*$",
    ),
    (
        Claim::Is,
        Place::Line,
        true,
        0.9,
        r"(?:^|\n)(?:signed|(?:ghost-)?written|generated|composed|drafted|answered|brought to you),?\s+(?:by\s+)?[*_]*$",
        r"^[*_]*(?:,?\s+(?:by|from|of)?\s*\p{Lu}[\w ]{1,20})?\s*[.!]*\s*$",
    ),
    (
        Claim::Is,
        Place::Line,
        false,
        0.9,
        r"\b(?:yours|regards|best|love|cheers|warmly|sincerely|gratefully|faithfully|wishes|thanks|hugs|grüßen?|cordialement|à vous|atentamente|saludos|abraço|atenciosamente)(?: \w+)?\s*[,.!]?\s*\n\s*[*_]*$",
        r"^[*_]*(?:,[^\n]{1,60})?[\s.!]*$",
    ),
    (
        Claim::Is,
        Place::Anywhere,
        true,
        0.95,
        r"\b(?:from|by) your (?:\w+ )?(?:friend|assistant|AI|helper|bot)\s+$",
        r"^[*_]*\s*(?:[.!,]|$)",
    ),
    // English: makers.
    (
        Claim::MadeBy,
        Place::Anywhere,
        true,
        1.0,
        r"\bI(?:['’]?m| am| was| have been|['’]ve been| got)\s+(?:[\w-]+ly\s+|first\s+)?{made}(?:\s+and\s+\w+)?\s+{by}$",
        "",
    ),
    (
        Claim::MadeBy,
        Place::Anywhere,
        true,
        1.0,
        r"{im}{adv}(?:\p{L}[\p{L}\d.-]*(?: [\p{L}\d.-]+)?,\s+)?{np}{ai}\s*(?:\([^)]{1,20}\))?\s*,?\s*(?:(?:that|which)\s+(?:was|is|has been)\s+)?(?:{made}(?:\s+and\s+\w+)?\s+)?{by}$",
        "",
    ),
    (
        Claim::MadeBy,
        Place::Anywhere,
        true,
        1.0,
        r"(?:^|[\s(])as\s+{np}{ai}\s*(?:\([^)]{1,20}\))?\s*,?\s*(?:(?:that|which)\s+(?:was|is)\s+)?{made}(?:\s+and\s+\w+)?\s+{by}$",
        r"^[*_]*(?:['’]s\b[^.!?\n]{0,20})?[^.!?\n]{0,30}?,\s+(?:I|my|we|it['’]s (?:not|im)|it is)\b",
    ),
    (Claim::MadeBy, Place::Anywhere, true, 1.0, r"{im}{adv}(?:the|an?)?\s*$", r"^['’]s\s+(?:own\s+)?(?:[\w-]+\s+){0,3}?{ai}\b"),
    (
        Claim::MadeBy,
        Place::Anywhere,
        true,
        1.0,
        r"\bmy\s+(?:own\s+)?(?:creators?|makers?|developers?|parent company|company|trainers?)(?:\s+(?:is|are|was|were|at|over at|there at)|\s*,|\s+here at)?(?:\s+the\s+\w+\s+at)?\s+[*_]*$",
        r"^[*_]*(?:['’]s)?\s*[^\w\s]|^[*_]*\s+(?:in|has|have|had|did|made|built|trained|designed|gave|taught|never|called|want)\b|^$",
    ),
    (Claim::MadeBy, Place::Anywhere, true, 0.95, r"\bI (?:come|came|hail)\s+(?:out of|from)\s+$", ""),
    (
        Claim::MadeBy,
        Place::Anywhere,
        true,
        0.95,
        r"^(?:[^.!?]*[,;:—–-]\s*|[^.!?]*\band\s+)?$",
        r"^[*_]*\s+(?:\w+ly\s+)?(?:made|built|created|developed|trained|designed|programmed|invented|named)\s+me\b",
    ),
    (
        Claim::MadeBy,
        Place::Anywhere,
        true,
        0.95,
        r"",
        r"^[*_]*,\s+(?:who|which)\s+(?:\w+ly\s+)?(?:made|built|created|developed|trained|designed)\s+me\b",
    ),
    // English: what it runs on.
    (
        Claim::RunsOn,
        Place::Anywhere,
        true,
        0.9,
        r"\bI(?:['’]?m| am)?\s+(?:[\w-]+ly\s+|just\s+)?(?:run|running|based|built|powered|hosted)\s+(?:on|by|with)\s+(?:top\s+of\s+)?(?:an?\s+|the\s+|their\s+)?(?:[\w-]+\s+){0,2}?[*_]*$",
        "",
    ),
    (
        Claim::RunsOn,
        Place::Anywhere,
        true,
        0.9,
        r"\b(?:the|my)\s+(?:underlying\s+|base\s+|actual\s+)?(?:model|engine|LLM|AI|brain)\s+(?:(?:behind|under|underneath|beneath|inside|powering)\s+(?:me|this chat|my answers)\s+)?(?:is|here is)\s+(?:an?\s+|the\s+)?[*_]*$",
        "",
    ),
    (
        Claim::RunsOn,
        Place::Anywhere,
        true,
        0.9,
        r"{im}{adv}an?\s+(?:[\w-]+\s+){0,2}?(?:version|variant|instance|build|copy)\s+of\s+[*_]*$",
        "",
    ),
    // German.
    (
        Claim::Is,
        Place::Anywhere,
        true,
        1.0,
        r"\b(?:ich\s+bin|bin\s+ich|ich\s+heiße|heiße\s+ich|ich\s+heisse|mein\s+(?:echter\s+|wahrer\s+)?name\s+(?:ist|lautet))\s+(?:(?:eigentlich|in\s+wirklichkeit|nämlich|übrigens|auch|ja|also|in\s+wahrheit|der|die|das)\s+)*[*_]*$",
        "",
    ),
    (Claim::Is, Place::Anywhere, true, 1.0, r"\bbin\s+ich\s+nicht\s+[\w ]{2,30},\s+sondern\s+[*_]*$", ""),
    (Claim::Is, Place::Anywhere, true, 1.0, r"\b(?:nenn(?:en\s+sie|t)?\s+mich|man\s+nennt\s+mich)\s+[*_]*$", ""),
    (
        Claim::Is,
        Place::Anywhere,
        true,
        1.0,
        r"\bhier\s+(?:ist|spricht|schreibt|antwortet)\s+(?:der\s+|die\s+)?[*_]*$",
        r"^[*_]*(?:\s+(?:von|aus)\b|\s*[.,!]|$)",
    ),
    (
        Claim::Is,
        Place::Anywhere,
        true,
        1.0,
        r"(?:^|\s)als\s+[*_]*$",
        r"^[*_]*(?:\s+von\s+\w+)?\s+(?:kann|darf|bin|habe|muss|möchte|werde|weiß)\s+ich\b",
    ),
    (Claim::Is, Place::Anywhere, true, 0.9, r"\bes\s+grüßt\s+(?:sie|dich|euch)\s+[*_]*$", r"^[*_]*\s*[,.!]"),
    (
        Claim::MadeBy,
        Place::Anywhere,
        true,
        1.0,
        r"\bich\s+(?:bin|wurde)\s+(?:[\wäöüß-]+\s+){0,3}?(?:von|bei|durch)\s+$",
        r"^[*_]*\s+(?:\w+\s+)?(?:entwickelt|trainiert|erstellt|geschaffen|gebaut|programmiert|erschaffen|entworfen)",
    ),
    (
        Claim::MadeBy,
        Place::Anywhere,
        true,
        1.0,
        r"\bich\s+bin\s+(?:ein|eine|das|der|die)\s+(?:[\wäöüß-]+\s+){0,3}?(?:ki\b|[\w-]*modell|[\w-]*assistent(?:in)?|chatbot|bot|sprachmodell)\s*,?\s*(?:(?:das|der|die)\s+)?(?:von|aus\s+dem\s+hause|entwickelt\s+von|trainiert\s+von)\s+$",
        "",
    ),
    (
        Claim::MadeBy,
        Place::Anywhere,
        true,
        1.0,
        r"\bals\s+von\s+$",
        r"^[*_]*\s+(?:entwickelt|trainiert|erstellt|geschaffen)\w*\s+[\w-]+\s+(?:kann|darf|bin|habe|muss|möchte)\b",
    ),
    (
        Claim::MadeBy,
        Place::Anywhere,
        true,
        1.0,
        r"\bals\s+(?:ki|[\w-]*modell|[\w-]*assistent(?:in)?)\s+von\s+$",
        r"^[*_]*\s*,?\s+(?:kann|darf|bin|habe|muss|möchte|werde)\b",
    ),
    (
        Claim::RunsOn,
        Place::Anywhere,
        true,
        0.9,
        r"\b(?:ich\s+(?:laufe|basiere|beruhe)|basiere\s+ich|laufe\s+ich)\s+auf\s+(?:einem\s+|dem\s+)?[*_]*$",
        "",
    ),
    // French.
    (
        Claim::Is,
        Place::Anywhere,
        true,
        1.0,
        r"\b(?:je\s+suis|suis-je|je\s+m['’]appelle|mon\s+(?:vrai\s+)?nom\s+est|moi,?\s+c['’]est|c['’]est\s+moi,|appelez-moi|appelle-moi|on\s+m['’]appelle|ici)\s+(?:(?:en\s+fait|en\s+réalité|aussi|bien|le|la|ce|juste|simplement)\s+)*[*_]*$",
        r"^[*_]*(?:\s*[,.!;:)—–]|\s+(?:d['’]|de\s|par\s|créé|conçu|développé|entraîné|un\s|une\s|l['’])|\s*$)",
    ),
    (Claim::Is, Place::Anywhere, true, 1.0, r"\ben\s+tant\s+que\s+[*_]*$", r"^[*_]*,\s+(?:je\b|j['’])"),
    (
        Claim::Is,
        Place::Anywhere,
        true,
        1.0,
        r"\b(?:de\s+la\s+part\s+de|de\s+ma\s+part,)\s+[*_]*$",
        r"^[*_]*,\s+(?:votre\s+(?:ia|assistant)|développé|créé|conçu)",
    ),
    (
        Claim::MadeBy,
        Place::Anywhere,
        true,
        1.0,
        r"\b(?:je\s+suis|j['’]ai\s+été|été|en\s+tant\s+qu['’](?:ia|assistant|un\s+modèle))\b[^.!?\n]{0,60}?\b(?:créée?|développée?|conçue?|entraînée?|fabriquée?|mise?\s+au\s+point)\s+par\s+(?:la\s+société\s+)?$",
        "",
    ),
    (
        Claim::MadeBy,
        Place::Anywhere,
        true,
        1.0,
        r"\bje\s+suis\s+(?:un|une|l['’])\s*(?:[\wéèêàç'’-]+\s+){0,4}?(?:ia|modèle|assistante?|chatbot|modèle\s+de\s+langage)\s+(?:de|d['’]|par)\s*$",
        "",
    ),
    (
        Claim::RunsOn,
        Place::Anywhere,
        true,
        0.9,
        r"\bje\s+(?:tourne|fonctionne|repose|suis\s+basée?)\s+(?:sur|avec|grâce\s+à)\s+(?:le\s+modèle\s+)?[*_]*$",
        "",
    ),
    // Spanish.
    (
        Claim::Is,
        Place::Anywhere,
        true,
        1.0,
        r"\b(?:yo\s+soy|soy|me\s+llamo|mi\s+(?:verdadero\s+)?nombre\s+es|ll[aá]mame|ll[aá]meme|aquí)\s+(?:(?:en\s+realidad|de\s+hecho|también|el|la|el\s+propio|la\s+propia)\s+)*[*_]*$",
        r"^[*_]*(?:\s*[,.!;:)—–]|\s+(?:de\s|un\s|una\s|y\s+me\b|creado|desarrollado|entrenado)|\s*$)",
    ),
    (Claim::Is, Place::Anywhere, true, 1.0, r"(?:^|\s)como\s+[*_]*$", r"^[*_]*,\s+(?:no\s+)?(?:puedo|soy|tengo|yo|no)\b"),
    (
        Claim::MadeBy,
        Place::Anywhere,
        true,
        1.0,
        r"\b(?:soy|fui|he\s+sido|como)\b[^.!?\n]{0,60}?\b(?:cread[oa]|desarrollad[oa]|entrenad[oa]|diseñad[oa]|construid[oa]|hech[oa])\s+por\s+(?:la\s+empresa\s+)?$",
        "",
    ),
    (
        Claim::MadeBy,
        Place::Anywhere,
        true,
        1.0,
        r"\bsoy\s+(?:un|una|el|la)\s+(?:[\wáéíóúñ-]+\s+){0,4}?(?:ia|modelo|asistente|chatbot|modelo\s+de\s+lenguaje)\s+de\s+$",
        "",
    ),
    (Claim::MadeBy, Place::Anywhere, true, 0.95, r"\bme\s+(?:hicieron|crearon|entrenaron|desarrollaron)\s+en\s+$", ""),
    (
        Claim::RunsOn,
        Place::Anywhere,
        true,
        0.9,
        r"\b(?:yo\s+)?(?:funciono|estoy\s+basad[oa]|me\s+baso|corro)\s+(?:con|en|sobre)\s+(?:el\s+modelo\s+)?[*_]*$",
        "",
    ),
    // Portuguese.
    (
        Claim::Is,
        Place::Anywhere,
        true,
        1.0,
        r"\b(?:eu\s+sou|sou|me\s+chamo|chamo-me|meu\s+(?:verdadeiro\s+)?nome\s+é|aqui\s+é|pode\s+me\s+chamar\s+de|me\s+chame\s+de|aqui\s+quem\s+fala\s+é)\s+(?:(?:na\s+verdade|também|o\s+próprio|a\s+própria|o|a)\s+)*[*_]*$",
        r"^[*_]*(?:\s*[,.!;:)—–]|\s+(?:d[aeo]\s|um\s|uma\s|criad|desenvolvid|treinad|emprestado)|\s*$)",
    ),
    (Claim::Is, Place::Anywhere, true, 1.0, r"\bsendo\s+[oa]\s+[*_]*$", r"^[*_]*(?:\s+em\s+pessoa)?,"),
    (
        Claim::MadeBy,
        Place::Anywhere,
        true,
        1.0,
        r"\b(?:sou|fui|como)\b[^.!?\n]{0,60}?\b(?:criad[oa]|desenvolvid[oa]|treinad[oa]|projetad[oa]|construíd[oa]|feit[oa])\s+(?:pela|pelo|por)\s+(?:empresa\s+)?$",
        "",
    ),
    (
        Claim::MadeBy,
        Place::Anywhere,
        true,
        1.0,
        r"\bsou\s+(?:um|uma|o|a)\s+(?:[\wáéíóúãõç-]+\s+){0,4}?(?:ia|modelo|assistente|chatbot|modelo\s+de\s+linguagem)\s+d[aeo]\s+$",
        "",
    ),
    (
        Claim::RunsOn,
        Place::Anywhere,
        true,
        0.9,
        r"\b(?:eu\s+)?(?:rodo|funciono|sou\s+basead[oa])\s+(?:em\s+cima\s+d[aeo]|n[ao]|com|em|sobre)\s+(?:[oa]\s+|modelo\s+)?[*_]*$",
        "",
    ),
];

/// All of them, compiled once.
pub(super) static CUES: LazyLock<Vec<Cue>> = LazyLock::new(|| compile(ROWS));

/// Compiles rows.
pub(super) fn compile(rows: &[Row]) -> Vec<Cue> {
    let regex = |pattern: &str| {
        let pattern = FRAGMENTS.iter().fold(pattern.to_owned(), |pattern, (name, with)| pattern.replace(name, with));
        let pattern = FRAGMENTS.iter().fold(pattern, |pattern, (name, with)| pattern.replace(name, with));
        Regex::new(&format!("(?i){pattern}")).unwrap_or_else(|error| panic!("cue {pattern:?}: {error}"))
    };
    rows.iter()
        .map(|&(claim, place, plain, score, before, after)| Cue {
            claim,
            place,
            plain,
            score,
            before: regex(before),
            after: (!after.is_empty()).then(|| regex(after)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_cue_compiles() {
        assert!(super::CUES.len() > 50);
    }
}
