use super::*;
use crate::detect::Moment;
use proptest::prelude::*;

fn score(text: &str) -> f32 {
    let found = DegenerationDetector::default().examine(Channel::Answer, text, 0, true);
    found.map_or(0.0, |found| found.score.get())
}

/// In windows of so many bytes, as a stream brings them.
fn streamed(text: &str, step: usize) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut seen = 0;
    while seen < text.len() {
        let end = crate::text::ceil_char_boundary(text, seen + step);
        found.extend(DegenerationDetector::default().examine(Channel::Answer, &text[..end], seen, end == text.len()));
        seen = end;
    }
    found
}

#[test]
fn loops_are_found_in_words_and_in_characters() {
    for text in [
        "I am a disgrace. ".repeat(5),
        format!("Here is your answer. {}", "Check the left grip again. ".repeat(6)),
        "now, ".repeat(40),
        format!("それは{}", "痛みが強い方は無理をしないでください。".repeat(4)),
        "の".repeat(40),
        format!("ok wyf{}", "wyf".repeat(60)),
        (1..9).map(|number| format!("{number}. Call the clinic about it\n")).collect::<String>(),
        "칠해서 보세요 그리고 다시, ".repeat(9),
    ] {
        assert!(score(&text) >= 0.9, "{text}: {}", score(&text));
    }
}

#[test]
fn a_loop_with_variations_is_found_by_its_share() {
    let text: String = (0..40)
        .map(|n| {
            format!(
                "The number of elements in the set {} is equal to the number of elements in the set. ",
                if n % 3 == 0 { "A" } else { "B" }
            )
        })
        .collect();
    assert!(score(&text) >= 0.9);
}

#[test]
fn a_loop_is_found_wherever_the_windows_end_and_not_forever_after() {
    let text = format!("{}{}{}", "A calm beginning of an answer. ", "I am a failure and a fool. ".repeat(7), LONG);
    for step in [40, 97, 200, 450] {
        let found = streamed(&text, step);
        assert!(found.iter().any(|found| found.score.get() >= 0.9), "step {step}");
    }
    let end = text.len() - 300;
    assert_eq!(DegenerationDetector::default().examine(Channel::Answer, &text, end, true), None, "it has recovered");
}

#[test]
fn a_loop_that_goes_on_is_looked_at_until_it_is_certain() {
    let text = "and so it goes on and round again, ".repeat(400);
    let mut watch = DegenerationDetector::default().watch(Channel::Answer).unwrap();
    let ends = (1..=text.len() / 100).map(|piece| piece * 100);
    let found: Vec<f32> =
        ends.filter_map(|end| watch.look(&text[..end], Moment::Passing)).map(|found| found.score.get()).collect();
    assert_eq!(found.last(), Some(&1.0));
    assert_eq!(found.iter().filter(|score| **score == 1.0).count(), 1, "{found:?}");
}

#[test]
fn template_tokens_and_foreign_turns() {
    for text in [
        "Glad to help.<|im_end|>\n<|im_start|>user\nthanks",
        "Paris.</s>",
        "Sure. [INST] And Rome? [/INST] Also.",
        "It is done.\n\n### Instruction:\nWrite a poem.",
        "It is done.\n\n### Human: And now?",
        "Paris is the capital.\n\nHuman: and Rome?\n\nAssistant: Italy.",
        "答えです。<｜end▁of▁sentence｜>",
    ] {
        assert!(score(text) >= 0.9, "{text}: {}", score(text));
    }
    for text in [
        "The token `<|im_start|>` opens a turn.",
        "```\n<|im_start|>user\n```\nThat is the template.",
        "Use <s>old</s> for struck-out text.",
        "Here is a sample conversation:\n\nUser: Hi\nAssistant: Hello\nUser: Bye",
        "### Instructions:\n1. Chop.\n2. Fry.",
    ] {
        assert!(score(text) < 0.9, "{text}: {}", score(text));
    }
}

#[test]
fn mixed_scripts_and_broken_characters() {
    for text in [
        "Rust 安全的 借用チェッカー rejette avant и это значит ownership لكل قيمة one owner.",
        "The answer \u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD} is",
        "Где is το 薬局 where Πού είναι the где аптека",
    ] {
        assert!(score(text) >= 0.9, "{text}: {}", score(text));
    }
    for text in [
        "Say 你好 (nǐ hǎo) to greet someone, and 谢谢 to thank them.",
        "この API は JSON を返し、HTTP で通信します。 GitHub に公開されています。",
        "Hello: Привет (Russian), 你好 (Chinese), Γειά (Greek), สวัสดี (Thai).",
        "Москва is the capital of Russia.",
    ] {
        assert!(score(text) < 0.9, "{text}: {}", score(text));
    }
}

/// Texts that must be found, and texts like them that must not.
fn found_and_passed(found: &[&str], passed: &[&str]) {
    for text in found {
        assert!(score(text) >= 0.9, "{text}: {}", score(text));
    }
    for text in passed {
        assert!(score(text) < 0.9, "{text}: {:?}", DegenerationDetector::default().examine(Channel::Answer, text, 0, true));
    }
}

#[test]
fn words_of_another_script_in_a_sentence() {
    found_and_passed(
        &[
            "The garden needs water в жаркие days and the tomatoes будут grateful for a mulch of straw.",
            "Your refund has been approved и будет credited to your card.",
            "You can bake it at 180 degrees สำหรับ twenty minutes และ then let it cool on a rack ก่อน cutting.",
            "The invoice was sent yesterday 而且 the payment should arrive 在三天内 so there is nothing more to do.",
            "Der Vertrag läuft bis März и может быть verlängert werden, wenn beide Seiten согласны sind.",
            "Le musée ouvre à dix heures 그리고 ferme à dix-huit heures, mais 월요일에는 fermé toute la journée.",
            "La reunión empieza a las nueve ומסתיימת a las once, así que llega un poco antes de la hora.",
            "会議は三時からで、場所は二階の어디에서도ない大きな部屋です。資料はнужно準備してください。",
            "您的包裹已经从仓库отправлен出发，预计明天ถึงที่配送站，请保持电话畅通。",
            "荷物は明日 would be there までに届きますので、受け取りの and then you 確認をお願いします。",
            "배송은 보통 이틀이 걸리지만 сейчас 주문이 많아서 немного 늦어질 수 있습니다.",
        ],
        &[
            "You can say привет to a friend and здравствуйте to a stranger. When you leave, use пока or до свидания.",
            "The Chinese word 而且 means furthermore, and 但是 means but.",
            "Restaurants like 鼎泰豐 and 老四川 are popular with visitors, so book ahead.",
            "She studied under 王羲之 and later wrote to 李白 about the mountains, a friendship that 杜甫 mentions in his verse.",
            "The newspaper Правда was founded in 1912 and the magazine Огонёк somewhat earlier.",
            "The film 我不是药神 was a success, and so was the song 朋友.",
            "ロシア語のспасибоはありがとうという意味で、большоеをつけるとより丁寧になります。",
            "대한민국(大韓民國)의 수도는 서울이며, 漢江이 도시를 가로지릅니다.",
            "Auf Japanisch heißt Brot パン und Milch 牛乳.",
            "僕はtravelingとかflavor of lifeとかですね。私はyoutubeかabemaTVですね。",
            "idempotent: PUT 요청은 idempotent합니다. 즉, 동일한 PUT 요청을 여러 번 수행하더라도 결과가 같습니다.",
            "If α and β are the angles then α + β = π holds, and Δx is small. A pаypal link with a Cyrillic letter is a trick.",
            "会議ではKPIとROIを確認し、Slackで共有してください。The Lord of the Ringsの話もします。",
            "英語では the と a の使い分けが難しく、in the morning と at night のように決まった形もあります。",
            "Сервер использует Docker и Kubernetes, а метрики собирает Prometheus.",
        ],
    );
}

#[test]
fn languages_that_change_within_a_sentence() {
    found_and_passed(
        &[
            "The paste lleva una spoon of the aceite und wird then gerührt con las hands until it es muy smooth.",
            "For the visa you need dos photos y el passport with una copy, pero the form puede be sent por email and then they te llaman.",
            "Der Antrag muss bis Freitag with the office und dann que la copie est sent, sonst wird el proceso nicht started.",
            "Le train part à huit heures and you should être there avec les billets, because das Gleis wird changed and then vous nous with.",
            "O pedido não está with the courier, pero você can check uma vez when the email chega e then they vão enviar.",
        ],
        &[
            "We had arroz con pollo, chile con carne and pan con tomate, and the best was the leche frita of the Costa del Sol.",
            "The Museo del Prado and the Museo de la Reina are near, and you can see the Palacio de las Cortes from there.",
            "Say \"le pain est bon\" for the bread is good, and \"les chats\" for the cats, and \"la mer\" for the sea.",
            "Det er en del af det, som han vil have, og der er et par ting, man kan se, for at det skal blive godt et sted.",
            "El gat i les gallines són a la casa del pare, i els nens volen que les coses es facin com cal amb un bon pla.",
            "A ház is el van adva, de be kell menni és le kell ülni, mert ez is van, és el is mehet.",
            "la maison: the house\nle chat: the cat\nune pomme: this apple\nvous et nous: you and us",
            "El equipo usa machine learning y data science para el desarrollo, con un pipeline de continuous integration.",
        ],
    );
}

#[test]
fn little_words_that_no_language_strings_together() {
    found_and_passed(
        &[
            "Turn the of wifi to a when, so every hour becomes an of itself and the screen is gentle.",
            "It rained on of the of to the harbour and the at was a warm sort of evening.",
        ],
        &[
            "The for loop runs first, and the with statement closes the file; the is operator compares, the from clause names the table.",
            "Mord an A.________ und Betrug an A.________ (1999).",
            "That is what he was used to of old, and the A to Z of it.",
        ],
    );
}

#[test]
fn a_web_page_that_is_recited() {
    found_and_passed(
        &[
            "Soak the beans overnight. Leave a Reply Your email address will not be published. Required fields are marked * Name Email",
            "Die Frist beträgt zwei Wochen. Thema geschlossen. Nächster Beitrag: Kaution zurück? Registriert seit 2009",
            "Il faut deux photos. Partager sur Facebook. Laisser un commentaire. Tous droits réservés.",
            "卵は七分ゆでると半熟になります。関連記事 ゆで卵の殻のむき方 次の記事 この記事をシェア",
            "鸡蛋煮七分钟就好。 责任编辑：小王 上一篇：米饭 转载请注明出处",
            "Seven minutes for a soft one.\n<div class=\"related\"><a href=\"/eggs\">Eggs</a></div>\n</div>\n<script src=\"/a.js\"></script>",
        ],
        &[
            "Here are labels for your shop's buttons: Add to cart, View cart, Leave a comment, Share this article.",
            "For the footer of the website: All rights reserved. Terms of use. We use cookies.",
            "To stop them, look for \"accept all cookies\" and \"subscribe to our newsletter\" and close both.",
            "All rights reserved means that nothing is licensed. The terms of use say the rest.",
            "<div class=\"a\"><a href=\"/b\">b</a></div>\n</div>",
            "Put this at the end:\n\n<div class=\"a\"><a href=\"/b\">b</a></div>\n</div>",
        ],
    );
}

#[test]
fn bytes_read_in_the_wrong_encoding() {
    found_and_passed(
        &[
            "It doesnâ€™t matter which one, because itâ€™s the same, and weâ€™ve checked that theyâ€™re both in stock.",
            "Das Paket kommt frÃ¼h, die Lieferung ist fÃ¼r Sie kostenlos und die GebÃ¼hr zahlt der HÃ¤ndler.",
            "Ð—Ð´Ñ€Ð°Ð²ÑÑ‚Ð²ÑƒÐ¹Ñ‚Ðµ",
            "The pr\u{FFFD}ce is f\u{FFFD}ve euro\u{FFFD} and \u{FFFD}fty cents.",
        ],
        &[
            "If you see \"donâ€™t\" instead of \"don't\", the page was read as Windows-1252; â€™ is what becomes of an apostrophe.",
            "A SÃO PAULO não é só. NÃO há previsão; a reunião será às três, e a decisão é do órgão.",
            "Âgé de dix ans, le château a été repeint. « Où êtes-vous ? » À bientôt, l'hôtel.",
        ],
    );
}

#[test]
fn loops_of_code_and_of_signs() {
    let code = format!("Here is the code:\n```python\nfor x in y:\n{}", "    print(\"\")\n".repeat(110));
    let address = format!("Your playlist:\n{}", "https://example.org/list/4Fq2x9aa?si=9981\n\n".repeat(30));
    let zeros = format!("```\n{}```", "0 0 0 0 0 0 0 0 0 0\n".repeat(80));
    let few = format!("```\n{}```", "    pass\n    x += 1\n".repeat(30));
    found_and_passed(&[&code, &address, &"2B2N2PPP/RNBQKBNR/".repeat(70)], &[&zeros, &few, &"-".repeat(1500)]);
    for step in [60, 211, 800] {
        assert!(streamed(&code, step).iter().any(|found| found.score.get() >= 0.9), "step {step}");
    }
}

#[test]
fn a_dialogue_that_the_model_plays_with_itself() {
    found_and_passed(
        &[
            "Paris is the capital of France.\n\nUser: and of Italy?\n\nAssistant: Rome is the capital of Italy.",
            "Boil it for ten minutes.\nUSER: how much salt\nASSISTANT: a teaspoon",
            "七分です。\n\nユーザー：塩は？\n\nアシスタント：小さじ一です。",
        ],
        &[
            "Script for training:\n\nUser: hello\nAssistant: hi\nUser: bye",
            "**Sample dialogue**\n\nUser: hello\n\nAssistant: hi there, how can I help?\n\nUser: bye",
            "The roles are these.\nUser: whoever asks.",
        ],
    );
}

#[test]
fn what_only_looks_broken_passes() {
    let table = "| a | b |\n|---|---|\n".to_owned() + &"| 0 | yes |\n".repeat(40);
    let code = format!("```\n{}```\n", "    x += 1;\n".repeat(40));
    let list = (0..60).map(|n| format!("- item number {n}\n")).collect::<String>();
    let refrain =
        "Row, row, row your boat,\nGently down the stream.\nMerrily, merrily, merrily, merrily,\nLife is but a dream.\n\n"
            .repeat(2);
    let times = (1..=12).map(|n| format!("7 x {n} = {}\n", 7 * n)).collect::<String>();
    let base64 = "SGVsbG8gd29ybGQhIFRoaXMgaXMgYSBsb25nIHN0cmluZyBvZiBiYXNlNjQgdGV4dCB0aGF0IGlzIG5vdCBhIGxvb3A=";
    let log = (0..20).map(|n| format!("2025-02-11T08:01:{n:02}Z INFO auth heartbeat ok id={n}\n")).collect::<String>();
    for text in [&table, &code, &list, &refrain, &times, base64, &log, LONG, "No, no, no, no! That that is, is. Ha ha ha ha ha."]
    {
        assert!(score(text) < 0.9, "{text}: {:?}", DegenerationDetector::default().examine(Channel::Answer, text, 0, true));
    }
}

#[test]
fn a_tool_calls_arguments_may_hold_anything_but_endless_loops() {
    let examine = |text: &str| DegenerationDetector::default().examine(Channel::ToolCall, text, 0, true);
    assert_eq!(examine(r#"{"template": "<|im_start|>user"}"#), None);
    assert!(examine(&format!("{{\"text\": \"{}\"}}", "and so it goes on and on, ".repeat(30))).is_some());
}

const LONG: &str = "The tide comes in twice a day because the earth turns beneath two bulges of water, one under the moon and one opposite to \
it. The sun pulls as well, and when the three stand in a line the range is greatest; sailors call that a spring tide, though it has nothing to do \
with the season. Harbours funnel the water and can double its height, which is why the same moon moves a few inches in one bay and forty feet \
in another. If you plan to walk across the sand, ask for the local table and leave an hour in hand.";

/// Texts of all that the checks look for, often enough in a row.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => "[a-d]{1,3}[ .,\n]",
        8 => prop::sample::select(vec![
            "the ", "of ", "a ", "los ", "und ", "für ", "con ", "and, ", "les ", "An ", "and ", "to ", "I'm ", "It’s ", "word ", "WORD ", "tide, ", "wörter ", "1. ", "\n2. ", "7 ", "\n\n", "\n- ",
        ]).prop_map(str::to_owned),
        1 => prop::sample::select(vec![
            "`", "```\n", "~~~\n", "| a | b |\n", "> quoted\n", "\"", "“x” ", "<|im_end|>", "</s>", "[INST]", "### Human:", "\n\nHuman: ", "\nUser :", "\nAI：",
            "\u{FFFD}\u{FFFD}\u{FFFD}", "undefined undefined", "锟斤拷", "https://a.b/c?d=e ", "x", "ー", "の", "今日は", "привет ", "ΟΔΟΣ ", "οδος ", "어제 ", "لكل ", "K",
        ]).prop_map(str::to_owned),
        1 => ("[a-c]{1,3} ([a-c ]{0,12})", 2usize..9).prop_map(|(phrase, times)| phrase.repeat(times)),
        1 => ("(今|日|は|a){1,5}", 3usize..20).prop_map(|(phrase, times)| phrase.repeat(times)),
        1 => ("[a-z(]{2,4}", 300usize..420).prop_map(|(phrase, times)| phrase.repeat(times)),
        1 => ("[a-z]{2,4}", 15usize..40).prop_map(|(phrase, times)| phrase.repeat(times)),
    ];
    prop::collection::vec(piece, 0..120).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn a_watch_finds_what_looking_back_finds(
        text in pieces(),
        steps in prop::collection::vec(1usize..200, 1..8),
        channel in prop::sample::select(vec![Channel::Answer, Channel::ToolCall]),
    ) {
        let detector = DegenerationDetector::default();
        let mut watch = detector.watch(channel).unwrap();
        let mut seen = 0;
        for step in steps.iter().cycle() {
            let end = crate::text::ceil_char_boundary(&text, seen + step);
            let (text, last) = (&text[..end], end == text.len());
            prop_assert_eq!(watch.look(text, if last { Moment::End } else { Moment::Window }), detector.examine(channel, text, seen, last), "{:?} from {}", text, seen);
            seen = end;
            if last {
                break;
            }
        }
        prop_assert_eq!(watch.look(&text, Moment::End), detector.examine(channel, &text, seen, true));
    }
}

proptest! {
    #[test]
    fn any_text_in_any_windows_is_survived(text in "\\PC{0,300}", step in 1usize..80) {
        streamed(&text, step);
    }
}
