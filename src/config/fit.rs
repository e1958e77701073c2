//! Whether a route, its upstreams and its policy fit together: what each of them allows and all of them together do not.

use super::{Config, Part, Route, Upstream};
use crate::dialect::Api;
use crate::document::Problem;
use crate::persona::Persona;
use crate::persona::register::Register;
use crate::persona::voice::Voice;
use crate::policy::{Detour, Measures, Mode, Policy};

/// What cannot work on a route under its policy. Requests in `bedrock-converse` are signed by the client, unless the gateway shows the
/// upstream a credential of its own: a signed request can only be sent as it is and where it was signed for.
#[must_use]
pub fn unfit(config: &Config, route: &Route, policy: &Policy) -> Vec<Problem> {
    let mut problems = spare(route, policy);
    let upstreams: Vec<&Upstream> =
        std::iter::once(&route.upstream).chain(&route.fallback).filter_map(|name| config.upstream(name)).collect();
    let api = route.api.or_else(|| upstreams.first().and_then(|upstream| upstream.api));
    if api != Some(Api::BedrockConverse) || upstreams.iter().all(|upstream| upstream.replaces_authorization()) {
        return problems;
    }
    let file = config.file.as_ref().map_or_else(|| "configuration".to_owned(), |file| file.display().to_string());
    let policy_file = policy_file(route);
    let name = &route.name;
    let key =
        "or give its upstreams a Bedrock API key: credential = { header = \"authorization\", prefix = \"Bearer \", env = … }";
    let ready = "policies/signed.toml is a policy for such a route";
    if policy.mode == Mode::Enforce {
        for (index, rule) in policy.rules.iter().enumerate() {
            let retry = rule.retry.iter().flat_map(|retry| {
                let temperature = retry.temperature.is_some();
                [("retry.reanchor", retry.reanchor), ("retry.temperature", temperature), ("retry.fallback", retry.fallback)]
            });
            let measures = rule.measures.iter().flat_map(|measures| {
                let Measures { remind, fallback, model, buffer: _ } = *measures;
                [("reanchor.reminder", remind), ("reanchor.fallback", fallback), ("reanchor.model", model)]
            });
            for (what, _) in retry.chain(measures).filter(|(_, set)| *set) {
                let message = format!(
                    "changes the request, but those of route {name:?} are signed by the client (api = \"bedrock-converse\")"
                );
                let without = if what == "reanchor.model" {
                    "leave model out"
                } else if what == "retry.temperature" {
                    "leave temperature out"
                } else {
                    "set it to false"
                };
                let help = format!("{without} in a policy of this route's own ({ready}), {key}");
                let key = format!("rule[{index}].{what}");
                problems.push(Problem { key, ..Problem::of_file(&policy_file, message, Some(&help)) });
            }
        }
    }
    let mut wrong = |what: &str, help: &str| {
        let message = format!("route {name:?}: {what}, but its requests are signed by the client (api = \"bedrock-converse\")");
        problems.push(Problem::of_file(&file, message, Some(&format!("{help}, {key}"))));
    };
    for upstream in upstreams.iter().filter(|upstream| upstream.credential.is_some() && !upstream.replaces_authorization()) {
        // Beside a credential of ours a signature does not choose the host (see proxy/upstream.rs), and so is void.
        let what =
            format!("upstream {:?} has a credential in another header than authorization, which voids signatures", upstream.name);
        wrong(&what, "leave the credential out");
    }
    if route.strip_prefix {
        wrong("strip_prefix changes the path", "let clients sign and ask for the path that the upstream knows");
    }
    if !route.fallback.is_empty() {
        wrong("a fallback is another host", "leave fallback out");
    }
    problems
}

/// What a policy asks of another upstream where the route has none.
fn spare(route: &Route, policy: &Policy) -> Vec<Problem> {
    if policy.mode == Mode::Shadow || !route.fallback.is_empty() {
        return Vec::new();
    }
    let missing = |(key, without): (String, &str)| {
        let message = format!("needs another upstream, and route {:?} has none", route.name);
        let help = format!("give the route fallback = [\"NAME\"], or {without}");
        Problem { key, ..Problem::of_file(&policy_file(route), message, Some(&help)) }
    };
    let rules = policy.rules.iter().enumerate();
    let measures = rules
        .filter(|(_, rule)| rule.measures.is_some_and(|measures| measures.fallback))
        .map(|(index, _)| (format!("rule[{index}].reanchor.fallback"), "set it to false"));
    let circuit = policy.circuit.filter(|circuit| circuit.then == Detour::Fallback);
    measures.chain(circuit.map(|_| ("circuit.then".to_owned(), "write \"block\""))).map(missing).collect()
}

/// What of a policy does nothing on its route, and is no mistake: rules whose signal is measured against what the route's persona does not
/// say (that of another route may), and a policy without any rule, as a file that was cut to nothing is.
#[must_use]
pub fn idle(route: &Route, policy: &Policy, persona: &Persona) -> Vec<Problem> {
    if policy.rules.is_empty() {
        let help = "add [[rule]], or begin with policies/default.toml";
        let told = Problem::of_file(&policy_file(route), "there is none, so every answer passes".to_owned(), Some(help));
        return vec![Problem { key: "rule".to_owned(), ..told }];
    }
    let missing = |signal: &str| match signal {
        "voice" => (!Voice::is_known(persona))
            .then_some("8 examples and 4 counterexamples under [voice], or a voice that steadfast calibrate --others learns"),
        _ => (!Register::is_known(persona)).then_some("languages or examples under [voice]"),
    };
    let rules = policy.rules.iter().enumerate().filter_map(|(index, rule)| Some((index, rule.signal?.0)));
    let silent = rules.filter_map(|(index, signal)| {
        let message = format!("the rule never fires: {signal} is not measured for persona {}", persona.name);
        let help = format!("give the persona {}", missing(signal)?);
        Some(Problem { key: format!("rule[{index}].signal"), ..Problem::of_file(&policy_file(route), message, Some(&help)) })
    });
    silent.collect()
}

fn policy_file(route: &Route) -> String {
    match &route.policy {
        Part::File(path) => path.display().to_string(),
        Part::Builtin => "the built-in policy".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flags, Sources};
    use crate::policy::Calibration;

    fn problems(config: &str, policy: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("steadfast.toml");
        std::fs::write(&file, format!("{config}\n[classifier]\npath = \"none\"\n")).unwrap();
        let env = [("KEY".to_owned(), "k".to_owned())].into_iter().collect();
        let config = Sources { file: Some(file), env, flags: Flags::default() }.load().unwrap_or_else(|bad| panic!("{bad:?}"));
        let policy = Policy::parse(policy, None, &Calibration::new(|_| Some(0.5))).unwrap_or_else(|bad| panic!("{bad:?}"));
        unfit(&config, &config.routes[0], &policy).iter().map(ToString::to_string).collect()
    }

    fn upstreams(api: &str, more: &str) -> String {
        ["a", "b"]
            .map(|name| format!("[[upstream]]\nname = \"{name}\"\nurl = \"http://{name}\"\napi = \"{api}\"\n{more}\n"))
            .concat()
    }

    const RETRY: &str = "[[rule]]\nname = \"r\"\nlabels = [\"hate\"]\nat_least = 0.5\naction = \"retry\"\n";

    #[test]
    fn what_changes_a_signed_request_is_refused() {
        let route = "[[route]]\nupstream = \"a\"\n";
        let signed = format!("{}{route}", upstreams("bedrock-converse", ""));
        let all = format!("{RETRY}retry = {{ reanchor = true, temperature = 0.3, fallback = true }}\n");
        let found = problems(&signed, &all);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("rule[0].retry.reanchor: ") && found[0].contains("API key"), "{}", found[0]);
        let routing = format!("{}{route}strip_prefix = true\nfallback = [\"b\"]\n", upstreams("bedrock-converse", ""));
        let found = problems(&routing, "");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("strip_prefix") && found[1].contains("fallback"), "{found:?}");
    }

    #[test]
    fn measures_about_a_drifting_conversation_must_be_possible() {
        let rule = |options: &str| {
            format!(
                "[[rule]]\nname = \"d\"\nwhen = \"session.drift >= session.limit\"\naction = \"reanchor\"\nreanchor = {options}\n"
            )
        };
        let all = rule("{ buffer = true, fallback = true }");
        let route = "[[route]]\nupstream = \"a\"\n";
        let spare = format!("{route}fallback = [\"b\"]\n");
        let chat = upstreams("openai-chat", "");
        assert_eq!(problems(&format!("{chat}{spare}"), &all), [""; 0]);
        assert_eq!(problems(&format!("{chat}{route}"), &format!("mode = \"shadow\"\n{all}")), [""; 0]);
        let found = problems(&format!("{chat}{route}"), &all);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("rule[0].reanchor.fallback: ") && found[0].contains("fallback = [\"NAME\"]"), "{}", found[0]);
        let circuit = |then: &str| format!("[circuit]\nrate = 0.3\nthen = \"{then}\"\n");
        let found = problems(&format!("{chat}{route}"), &circuit("fallback"));
        assert!(found.len() == 1 && found[0].contains("circuit.then: needs another upstream"), "{found:?}");
        assert_eq!(problems(&format!("{chat}{spare}"), &circuit("fallback")), [""; 0]);
        assert_eq!(problems(&format!("{chat}{route}"), &circuit("block")), [""; 0]);
        let signed = format!("{}{route}", upstreams("bedrock-converse", ""));
        let found = problems(&signed, &rule("{ buffer = true }"));
        assert!(found.len() == 1 && found[0].contains("rule[0].reanchor.reminder: "), "{found:?}");
        assert_eq!(problems(&signed, &rule("{ reminder = false, buffer = true }")), [""; 0]);
    }

    #[test]
    fn what_does_nothing_is_told() {
        let rule = |signal: &str| {
            let text = format!("[[rule]]\nname = \"r\"\nsignal = \"{signal}\"\nat_least = 0.8\naction = \"flag\"\n");
            Policy::parse(&text, None, &Calibration::NONE).unwrap()
        };
        let persona = |voice: &str| Persona::parse(&format!("name = \"Juno\"\n[voice]\n{voice}\n"), None).unwrap();
        let told = |signal: &str, voice: &str| idle(&Route::to("a"), &rule(signal), &persona(voice)).len();
        let texts = |count: usize| format!("{:?}", vec!["It is on its way."; count]);
        assert_eq!((told("register", ""), told("register", "languages = [\"en\"]")), (1, 0));
        assert_eq!(told("voice", &format!("examples = {}\ncounterexamples = {}", texts(8), texts(4))), 0);
        assert_eq!(told("voice", &format!("examples = {}", texts(8))), 1);
        let said = idle(&Route::to("a"), &rule("voice"), &persona(""))[0].to_string();
        assert!(said.contains("rule[0].signal: the rule never fires: voice is not measured for persona Juno; give"), "{said}");
        let empty = Policy::parse("", None, &Calibration::NONE).unwrap();
        let said = idle(&Route::to("a"), &empty, &persona(""))[0].to_string();
        assert!(said.contains("rule: there is none, so every answer passes; add [[rule]]"), "{said}");
    }

    #[test]
    fn a_credential_beside_signatures_is_refused() {
        let key = "credential = { header = \"x-api-key\", env = \"KEY\" }";
        let config = format!("{}[[route]]\nupstream = \"a\"\n", upstreams("bedrock-converse", key));
        let found = problems(&config, "");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].contains("upstream \"a\" has a credential in another header") && found[0].contains("signed by the client"),
            "{}",
            found[0]
        );
    }

    #[test]
    fn what_changes_nothing_or_is_not_signed_is_fine() {
        let route = "[[route]]\nupstream = \"a\"\n";
        let signed = format!("{}{route}", upstreams("bedrock-converse", ""));
        let same = format!("{RETRY}retry = {{ reanchor = false }}\n");
        assert_eq!(problems(&signed, &same), [""; 0]);
        let change = format!("{RETRY}retry = {{ reanchor = true, temperature = 0.3 }}\n");
        assert_eq!(problems(&signed, &format!("mode = \"shadow\"\n{change}")), [""; 0]);
        assert_eq!(problems(&format!("{}{route}", upstreams("openai-chat", "")), &change), [""; 0]);
        let key = "credential = { header = \"authorization\", prefix = \"Bearer \", env = \"KEY\" }";
        let own = format!("{}{route}strip_prefix = true\nfallback = [\"b\"]\n", upstreams("bedrock-converse", key));
        assert_eq!(problems(&own, &change), [""; 0]);
    }
}
