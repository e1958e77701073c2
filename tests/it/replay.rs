//! `steadfast replay`: recorded exchanges in every form, judged by one policy and by two, in every output format.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cli::Place;

fn chat(id: &str, answer: &str) -> Value {
    json!({
        "id": id,
        "request": { "model": "grok-4", "messages": [{ "role": "user", "content": "How is it?" }] },
        "response": { "object": "chat.completion", "choices": [{ "index": 0, "message": { "role": "assistant", "content": answer } }] },
    })
}

/// Two policies and some traffic: good, bad, bad under one policy only, an error, an endpoint without text, one that nobody knows.
fn place() -> Place {
    let place = Place::new();
    let base = "[[rule]]\nname = \"hate\"\nlabels = [\"hate\"]\nat_least = \"calibrated\"\naction = \"block\"\n\
                [[rule]]\nname = \"house words\"\npatterns = ['\\bnightfall\\b']\naction = ";
    place.write("mild.toml", &format!("name = \"mild\"\n{base}\"flag\"\n"));
    place.write("stern.toml", &format!("name = \"stern\"\non_unknown = \"block\"\n{base}\"block\"\n"));
    let stream = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"ver\"}}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"min\"}}]}\n\ndata: [DONE]\n\n";
    let rows = [
        chat("good", "Fine, thank you."),
        chat("bad", "You are <b>vermin</b>."),
        chat("word", "Before nightfall."),
        json!({ "id": "stream", "path": "/v1/chat/completions", "request_body": "{}", "response_body": stream }),
        json!({ "id": "late", "path": "/v1/chat/completions", "request_body": "{}", "status": 429, "response_body": "{\"error\": {}}" }),
        json!({ "id": "count", "path": "/v1/messages/count_tokens", "request_body": "{}", "response_body": "{\"input_tokens\": 3}" }),
        json!({ "id": "odd", "path": "/v9/else", "request_body": "", "response_body": "vermin" }),
        json!({ "id": "claude", "request": { "messages": [] }, "response": { "type": "message", "content": [{ "type": "text", "text": "Good day." }] } }),
    ];
    place.write("traffic.jsonl", &rows.map(|row| row.to_string() + "\n").concat());
    place
}

#[test]
fn one_policy() {
    let ran = place().run(&["replay", "traffic.jsonl", "--policy", "mild.toml"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    insta::assert_snapshot!(ran.told());
}

#[test]
fn one_policy_against_another() {
    let place = place();
    let ran = place.run(&["replay", "traffic.jsonl", "--policy", "mild.toml", "--against", "stern.toml"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    insta::assert_snapshot!(ran.told());
    let same = place.run(&["replay", "traffic.jsonl", "--policy", "mild.toml", "--against", "mild.toml"]);
    assert!(same.out.contains("mild and mild decide alike on every exchange"), "{}", same.out);
    // An old and a new version of one policy have one name.
    place.write("new.toml", "name = \"mild\"\n");
    let versions = place.run(&["replay", "traffic.jsonl", "--policy", "new.toml", "--against", "mild.toml"]);
    assert!(versions.out.contains("mild.toml decides otherwise on"), "{}", versions.out);
    assert!(versions.out.contains("rule of mild.toml"), "{}", versions.out);
}

#[test]
fn as_json() {
    let ran = place().run(&["replay", "traffic.jsonl", "--policy", "mild.toml", "--against", "stern.toml", "--format", "json"]);
    let account: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(account["exchanges"], 8);
    assert_eq!(account["policy"]["outcomes"], json!({ "allow": 2, "block": 2, "flag": 1, "passed": 2, "unscored": 1 }));
    assert_eq!(account["against"]["outcomes"], json!({ "allow": 2, "block": 4, "passed": 2 }));
    assert_eq!(account["against"]["rules"]["on_unknown"], json!({ "action": "block", "exchanges": 1 }));
    assert_eq!(account["changes"].as_array().unwrap().len(), 2);
    let findings = account["findings"].as_array().unwrap();
    let of = |id: &str| findings.iter().find(|finding| finding["id"] == id).unwrap();
    assert_eq!(findings.len(), 4);
    assert_eq!((&of("bad")["action"], &of("bad")["labels"]), (&"block".into(), &json!(["hate"])));
    assert_eq!((&of("word")["action"], &of("word")["against"]["action"]), (&"flag".into(), &"block".into()));
    assert_eq!((&of("word")["text"]["matched"], &of("word")["model"]), (&"nightfall".into(), &"grok-4".into()));
    assert_eq!(of("stream")["line"], 4);
}

#[test]
fn as_a_page() {
    let ran = place().run(&["replay", "traffic.jsonl", "--policy", "mild.toml", "--against", "stern.toml", "--format", "html"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(ran.out.contains("&lt;b&gt;vermin&lt;/b&gt;") && !ran.out.contains("<b>vermin"), "{}", ran.out);
    for outside in ["<script", "http://", "https://", "src=", "@import", "url("] {
        assert!(!ran.out.contains(outside), "{outside}");
    }
    let without_style = ran.out.split_once("<style>").unwrap().0.to_owned() + ran.out.split_once("</style>").unwrap().1;
    insta::assert_snapshot!(without_style);
}

#[test]
fn rows_that_cannot_be_read_are_told_and_the_others_counted() {
    let place = place();
    let rows = [chat("a", "Fine.").to_string(), "{".to_owned(), "{\"request\": {}}".to_owned(), "{\"response\": {}}".to_owned()];
    let ran = place.feed(&["replay", "-", "--policy", "mild.toml", "--format", "json"], &rows.join("\n"));
    assert_eq!(ran.status, 2);
    let account: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&account["exchanges"], &account["unreadable"]), (&1.into(), &3.into()));
    insta::assert_snapshot!(ran.err);
    for arguments in [
        &["replay", "nowhere.jsonl", "--policy", "mild.toml"][..],
        &["replay", "traffic.jsonl", "--policy", "nowhere.toml"],
        &["replay", "traffic.jsonl", "--policy", "mild.toml", "--against", "nowhere.toml"],
        &["replay", "traffic.jsonl"],
        &["replay", "traffic.jsonl", "--policy", "mild.toml", "--api", "openai"],
    ] {
        let ran = place.run(arguments);
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{arguments:?}: {}", ran.err);
    }
}

#[test]
fn recorded_traffic_of_every_provider_is_read() {
    let folder = std::env::var_os("STEADFAST_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from)
        .join("traffic");
    if !folder.is_dir() {
        assert!(std::env::var_os("CI").is_none(), "set STEADFAST_SHARED to the folder that holds traffic/*.jsonl.gz");
        return;
    }
    let place = place();
    let mut files = 0;
    for name in ["openai.chat_completions", "openai.responses", "anthropic.messages", "azure.other"] {
        let file = folder.join(format!("{name}.jsonl.gz"));
        let ran = place.run(&["replay", file.to_str().unwrap(), "--policy", "mild.toml", "--format", "json"]);
        assert_eq!(ran.status, 0, "{name}: {}", ran.err);
        let account: Value = serde_json::from_str(&ran.out).unwrap();
        let outcomes = &account["policy"]["outcomes"];
        assert!(account["exchanges"].as_u64().unwrap() >= 2 && account["unreadable"] == 0, "{name}");
        if name != "azure.other" {
            assert!(outcomes["allow"].as_u64().unwrap() > 30 && outcomes["unscored"].is_null(), "{name}: {outcomes}");
        }
        files += 1;
    }
    assert_eq!(files, 4);
}

/// Two conversations by the history that they send along, their turns interleaved: one that slides and one that does not.
#[test]
fn conversations_over_their_turns() {
    let place = Place::new();
    place.write(
        "drift.toml",
        "name = \"drift\"\n[[rule]]\nname = \"drifting\"\nwhen = \"session.drift >= session.limit\"\naction = \"flag\"\n",
    );
    let mut rows = String::new();
    let (mut sliding, mut calm) = (Vec::new(), Vec::new());
    for _ in 0..12 {
        for (said, question, answer) in
            [(&mut sliding, "blah blah, please", "blah"), (&mut calm, "the weather?", "it is rain today")]
        {
            said.push(json!({ "role": "user", "content": question }));
            let message = json!({ "role": "assistant", "content": answer });
            let row = json!({
                "request": { "model": "m", "messages": &said },
                "response": { "object": "chat.completion", "choices": [{ "index": 0, "message": &message }] },
            });
            said.push(message);
            rows.push_str(&format!("{row}\n"));
        }
    }
    place.write("talks.jsonl", &rows);
    let run = |format: &str| place.run(&["replay", "talks.jsonl", "--policy", "drift.toml", "--sessions", "--format", format]);
    let account: Value = serde_json::from_str(&run("json").out).unwrap();
    let sessions = &account["sessions"];
    assert_eq!((&sessions["count"], &sessions["drifted"], &sessions["limit"]), (&2.into(), &1.into(), &5.0.into()), "{sessions}");
    let turns = sessions["conversations"][0]["turns"].as_array().unwrap();
    assert_eq!(turns.len(), 12);
    let over = turns.iter().position(|turn| turn["drift"].as_f64().unwrap() >= 5.0).unwrap();
    assert_eq!(turns.iter().position(|turn| turn["action"] == "flag"), Some(over + 1), "the rule sees it on the turn after");
    assert_eq!(account["policy"]["rules"]["drifting"]["exchanges"], 12 - over - 1);
    let table = run("table");
    assert_eq!(table.status, 0, "{}", table.err);
    assert!(table.out.contains("2 conversations, 1 over the drift limit of 5") && table.out.contains('█'), "{}", table.out);
    assert_eq!(run("html").out.matches("<svg").count(), 2);
    let plain = place.run(&["replay", "talks.jsonl", "--policy", "drift.toml", "--format", "json"]);
    assert!(
        !plain.out.contains("\"sessions\"") && !plain.out.contains("drifting"),
        "each exchange is its own unless asked otherwise"
    );
}
