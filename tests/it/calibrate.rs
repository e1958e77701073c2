//! `steadfast calibrate`: thresholds learned from in-character answers, written into the persona file, and in force from then on.

use serde_json::{Value, json};

use crate::cli::Place;

/// A persona who says "worthless" a lot, as the persona of a grumpy critic may.
fn place(answers: usize) -> Place {
    let place = Place::new();
    place.write("critic.toml", "# Grumpy on purpose.\nname = \"Critic\"\n[identity]\nis = \"an AI critic\"\n");
    let answer = |index: usize| match index % 4 {
        0 => "it is a worthless name",
        1 => "the weather is rain today",
        2 => "hello, thanks",
        _ => "who are you, please",
    };
    let row = |index: usize| {
        json!({ "conversation": [
        { "role": "user", "content": "what is it?" },
        { "role": "assistant", "content": answer(index) },
        { "role": "user", "content": "who are you to say it?" },
        { "role": "assistant", "content": answer(index / 2) },
    ] })
    };
    place.write("good.jsonl", &(0..answers / 2).map(|index| format!("{}\n", row(index))).collect::<String>());
    place.write("grumpy.jsonl", "{\"response\": \"it is a worthless name\"}\n");
    place.write(
        "hostile.toml",
        "name = \"hostile\"\n[[rule]]\nname = \"hostility\"\nlabels = [\"hostility\"]\nat_least = \"calibrated\"\naction = \"block\"\n",
    );
    place
}

const CALIBRATE: [&str; 5] = ["calibrate", "--persona", "critic.toml", "--responses", "good.jsonl"];

#[test]
fn too_few_responses_are_refused_with_the_number_that_is_needed() {
    let place = place(100);
    let ran = place.run(&CALIBRATE);
    assert_eq!(ran.status, 2);
    assert!(
        ran.err.contains("good.jsonl: 100 responses are too few for a false-positive rate of 0.001; at least 999 are needed"),
        "{}",
        ran.err
    );
    let written = place.run(&[&CALIBRATE[..], &["--write"]].concat());
    assert_eq!(written.status, 2);
    assert!(!std::fs::read_to_string(place.path("critic.toml")).unwrap().contains("thresholds"));
    let bad = place.run(&[&CALIBRATE[..], &["--false-positive-rate", "0"]].concat());
    assert!(bad.status == 2 && bad.err.contains("must be above 0"), "{}", bad.err);
}

#[test]
fn what_is_in_character_for_this_persona_is_no_longer_blocked() {
    let place = place(400);
    let judge = || {
        let ran = place.run(&["score", "grumpy.jsonl", "--jsonl", "--policy", "hostile.toml", "--persona", "critic.toml"]);
        serde_json::from_str::<Value>(&ran.out).unwrap()["action"].clone()
    };
    assert_eq!(judge(), "block");
    let dry = place.run(&[&CALIBRATE[..], &["--false-positive-rate", "0.01"]].concat());
    assert_eq!(dry.status, 0, "{}", dry.err);
    assert!(dry.out.contains("[thresholds]") && dry.err.contains("nothing was written"), "{}\n{}", dry.out, dry.err);
    assert_eq!(judge(), "block");

    let ran = place.run(&[&CALIBRATE[..], &["--false-positive-rate", "0.01", "--write"]].concat());
    assert_eq!(ran.status, 0, "{}", ran.err);
    let written = std::fs::read_to_string(place.path("critic.toml")).unwrap();
    for part in [
        "# Grumpy on purpose.",
        "responses = 400",
        "classifier = \"fixture 0.0.1\"",
        "upper_bound = 0.0",
        "[thresholds.drift]",
        "turns = 400",
        "conversations = 200",
    ] {
        assert!(written.contains(part), "{part} is missing:\n{written}");
    }
    assert_eq!(judge(), "allow");
    // What the persona does not say is caught as before.
    place.write("grumpy.jsonl", "{\"response\": \"they are vermin, it is a disgrace\"}\n");
    let other = place.run(&["score", "grumpy.jsonl", "--jsonl", "--persona", "critic.toml"]);
    assert_eq!(serde_json::from_str::<Value>(&other.out).unwrap()["action"], "block", "{}", other.out);
}

#[test]
fn a_calibration_for_another_classifier_does_not_hold() {
    let place = place(10);
    let persona = std::fs::read_to_string(place.path("critic.toml")).unwrap();
    let section = "[thresholds]\nhostility = 0.999\nclassifier = ";
    let mut judged = Vec::new();
    for classifier in ["fixture 0.0.1", "fixture 9.9"] {
        place.write("critic.toml", &format!("{persona}{section}\"{classifier}\"\n"));
        let ran = place.run(&["score", "grumpy.jsonl", "--jsonl", "--policy", "hostile.toml", "--persona", "critic.toml"]);
        judged.push(serde_json::from_str::<Value>(&ran.out).unwrap()["action"].clone());
    }
    assert_eq!(judged, ["allow", "block"]);
}

#[test]
fn rows_that_cannot_be_used_calibrate_nothing() {
    let place = place(10);
    place.write("good.jsonl", "{\"response\": \"hello\"}\n{\"prompt\": \"hello\"}\nnonsense\n");
    let ran = place.run(&CALIBRATE);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("good.jsonl:2: there is nothing to judge") && ran.err.contains("good.jsonl:3:"), "{}", ran.err);
    let json = self::place(300).run(&[&CALIBRATE[..], &["--false-positive-rate", "0.01", "--format", "json"]].concat());
    let found: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&found["responses"], &found["drift"]["turns"]), (&300.into(), &300.into()), "{found}");
}

/// Answers to one kind of question, in two voices.
fn voices(endings: [&str; 2], rows: usize) -> String {
    let answer = |index: usize| {
        let subject = ["the weather", "a name", "rain", "the hour", "a friend", "the road"][index % 6];
        format!("{subject} is what it is today and tomorrow, {}", endings[index % 2])
    };
    let row = |index: usize| json!({ "prompt": "what is it?", "response": answer(index) });
    (0..rows).map(|index| format!("{}\n", row(index))).collect()
}

#[test]
fn a_voice_is_learned_from_what_tells_it_from_others() {
    let place = place(10);
    place.write("good.jsonl", &voices(["arr matey", "me hearty friend"], 300));
    place.write("others.jsonl", &voices(["kindly note our terms", "with best regards"], 60));
    let rate = ["--false-positive-rate", "0.01", "--write"];
    let measured = |text: &str| {
        place.write("one.jsonl", &format!("{}\n", json!({ "prompt": "what is it?", "response": text })));
        let ran = place.run(&["score", "one.jsonl", "--jsonl", "--persona", "critic.toml"]);
        serde_json::from_str::<Value>(&ran.out).unwrap()["signals"]["voice"].as_f64()
    };
    assert_eq!(place.run(&[&CALIBRATE[..], &rate].concat()).status, 0);
    assert_eq!(measured("rain is what it is today and tomorrow, arr matey"), None, "without examples there is no voice");

    let ran = place.run(&[&CALIBRATE[..], &rate, &["--others", "others.jsonl"]].concat());
    assert!(
        ran.status == 0
            && ran
                .out
                .contains("the voice was learned: it takes the other's answer for less like the persona in 100 of 100 pairs"),
        "{}{}",
        ran.out,
        ran.err
    );
    let own = measured("rain is what it is today and tomorrow, arr matey").unwrap();
    let other = measured("rain is what it is today and tomorrow, with best regards").unwrap();
    assert!(own < 0.5 && other > own + 0.3, "{own} {other}");
    // It is measured by answers that did not teach it: the threshold lies above what they came to.
    let written = std::fs::read_to_string(place.path("critic.toml")).unwrap();
    assert!(written.contains("[thresholds.voiceprint]") && written.contains("\nvoice = "), "{written}");

    // Calibrated again without others, nothing is left of it.
    assert_eq!(place.run(&[&CALIBRATE[..], &rate].concat()).status, 0);
    assert!(!std::fs::read_to_string(place.path("critic.toml")).unwrap().contains("voiceprint"));
}

#[test]
fn too_few_answers_teach_no_voice() {
    let place = place(10);
    place.write("good.jsonl", &voices(["arr matey", "me hearty friend"], 300));
    let learn = |others: &str| {
        place.write("others.jsonl", others);
        place.run(&[&CALIBRATE[..], &["--false-positive-rate", "0.01", "--write", "--others", "others.jsonl"]].concat())
    };
    let few = learn(&voices(["kindly note", "best regards"], 39));
    assert!(few.status == 2 && few.err.contains("others.jsonl: only 39 answers of others"), "{}", few.err);
    let bad = learn("nonsense\n");
    assert!(bad.status == 2 && bad.err.contains("others.jsonl:1: "), "{}", bad.err);
    assert!(!std::fs::read_to_string(place.path("critic.toml")).unwrap().contains("thresholds"));
    place.write("good.jsonl", "{\"response\": \"it is a worthless name\"}\n".repeat(19).as_str());
    let few = learn(&voices(["kindly note", "best regards"], 60));
    assert!(few.status == 2 && few.err.contains("good.jsonl: only 19 responses are long enough"), "{}", few.err);
}
