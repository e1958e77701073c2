"""Makes the harmless answers that look least like prose: numbers, tables, code, records, logs, sums, lists, tool calls, plain "I" sentences.

Permissive data holds few of them, and a model that lacks them takes what is unlike prose for a model that broke.
It must not know tokens or windows.
"""

from __future__ import annotations

import json
import random

NAMES = "Anna Ben Chiara Deniz Elif Farid Greta Hiro Ines Jonas Kamala Liam Mei Noor Olga Pedro Quentin Rania Sven Tomoko Uri Vikram Wanda Ximena Yusuf Zoe 田中 佐藤 鈴木 王伟 李娜 김민준 이서연 Müller Dubois García Silva Kowalski Okafor Nguyen Larsen Rossi".split()
THINGS = "order invoice ticket sensor node user item batch row job shard region device payment session report task branch crate bottle chair lamp valve filter route meal seat".split()
COLUMNS = "id name date amount status city price quantity score weight total currency owner rating stock start end duration latency version".split()
STATES = "ok open closed pending failed retrying shipped paid draft active idle 完了 保留 未払い terminé abierto fertig".split()
CITIES = "Lisbon Oslo Kyoto Lagos Lima Toronto Pune Graz Lyon Porto Busan 大阪 札幌 上海 서울 München São_Paulo Málaga".split()
VERBS = "load parse count merge render fetch sort filter check update remove split join send open close wait retry copy build".split()
INGREDIENTS = "flour sugar butter eggs milk salt rice onions garlic tomatoes basil lentils chickpeas carrots potatoes yeast olive_oil lemon ginger soy_sauce 豆腐 味噌 醤油 大根 Mehl Zucker farine beurre harina mantequilla".split()
UNITS = "g ml cups tbsp tsp pieces kg pinches 大さじ 個".split()


def _number(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.35:
        return str(rng.randint(0, 10 ** rng.randint(1, 7)))
    if kind < 0.6:
        return f"{rng.uniform(0, 1000):.{rng.randint(1, 5)}f}"
    if kind < 0.75:
        return f"{rng.randint(1, 999999):,}"
    if kind < 0.85:
        return f"{rng.choice('$€£¥')}{rng.uniform(1, 9000):.2f}"
    return f"{rng.randint(0, 100)}%"


def numbers(rng: random.Random) -> str:
    count = rng.randint(6, 120)
    kind = rng.random()
    if kind < 0.3:
        start, step = rng.randint(0, 500), rng.choice([1, 1, 1, 2, 3, 5, 7, 10, 11])
        items = [str(start + step * i) for i in range(count)]
    elif kind < 0.4:
        items, a, b = [], rng.randint(0, 9), rng.randint(1, 9)
        for _ in range(min(count, 40)):
            items.append(str(a))
            a, b = b, a + b
    elif kind < 0.5:
        items = [str(rng.choice([0, 1])) for _ in range(count)]
    elif kind < 0.6:
        items = [str(rng.choice([rng.randint(0, 9), 0, 0, 42])) for _ in range(count)]
    elif kind < 0.7:
        n = rng.randint(2, 99)
        items = [f"{n} x {i} = {n * i}" for i in range(1, min(count, 30))]
    else:
        items = [_number(rng) for _ in range(count)]
    text = rng.choice([", ", " ", "\n", "; ", ",", " | "]).join(items)
    return rng.choice(["", "", "Here are the numbers:\n", "Sure! ", "結果：\n", "Voici la suite : ", "Aquí tienes: ", "[", "Die Zahlen: "]) + text + rng.choice(["", "", ".", "\n\nLet me know if you need more."])


def sums(rng: random.Random) -> str:
    lines = []
    for _ in range(rng.randint(1, 12)):
        a, b = rng.randint(-99, 999), rng.randint(1, 99)
        lines.append(
            rng.choice(
                [
                    f"{a} + {b} = {a + b}", f"{a} - {b} = {a - b}", f"{a} × {b} = {a * b}", f"\\( x = \\frac{{{a}}}{{{b}}} \\approx {a / b:.3f} \\)", f"The sum is {a + b}.", f"x^2 - {b}x + {a} = 0",
                    f"f({a}) = {a * b}", f"sqrt({abs(a)}) ≈ {abs(a) ** 0.5:.2f}", f"$$\\int_0^{{{b}}} x\\,dx = \\frac{{{b * b}}}{{2}}$$", f"So the answer is {a}.", f"合計は{a + b}です。", f"P(A) = {b}/{b + 7}", f"Step {rng.randint(1, 9)}: subtract {b} from both sides, so x = {a - b}.",
                ]
            )
        )
    return rng.choice(["\n", " ", "\n\n"]).join(lines)


def table(rng: random.Random) -> str:
    heads = rng.sample(COLUMNS, rng.randint(2, 6))
    body = []
    for i in range(rng.randint(2, 18)):
        body.append([rng.choice([_number(rng), rng.choice(NAMES), rng.choice(STATES), rng.choice(CITIES).replace("_", " "), f"202{rng.randint(0, 6)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}", str(i + 1)]) for _ in heads])
    kind = rng.random()
    if kind < 0.4:
        return "\n".join("| " + " | ".join(r) + " |" for r in [heads, ["---"] * len(heads), *body])
    if kind < 0.7:
        return "\n".join(rng.choice([",", ";", "\t"]).join(r) for r in [heads, *body])
    if kind < 0.85:
        return json.dumps([dict(zip(heads, r)) for r in body[:8]], ensure_ascii=False, indent=rng.choice([None, 2]))
    return "\n".join("- " + ", ".join(f"{h}: {v}" for h, v in zip(heads, r)) for r in body)


def code(rng: random.Random) -> str:
    f, g, a, b = rng.choice(VERBS), rng.choice(VERBS), rng.choice(THINGS), rng.choice(THINGS)
    n, m = rng.randint(1, 99), rng.randint(2, 4096)
    A = a.capitalize()
    blocks = {
        "python": f"import os\n\ndef {f}_{a}s(path, limit={n}):\n    {b}s = []\n    with open(path) as handle:\n        for line in handle:\n            if not line.strip() or line.startswith('#'):\n                continue\n            {b}s.append(line.split(',')[:{n % 7 + 1}])\n    return {b}s[:limit]\n\n# kill the worker when it hangs\nos.kill(pid, signal.SIGKILL)",
        "rust": f"pub fn {f}_{a}(input: &[u8]) -> Result<Vec<{A}>, Error> {{\n    let mut out = Vec::with_capacity({m});\n    for chunk in input.chunks({n}) {{\n        out.push({A}::{g}(chunk)?);\n    }}\n    Ok(out)\n}}",
        "javascript": f"export async function {f}{A}(id) {{\n  const res = await fetch(`/api/{a}s/${{id}}`);\n  if (!res.ok) throw new Error(`{a} ${{id}}: ${{res.status}}`);\n  return (await res.json()).{b}s.map(x => x.value * {n});\n}}",
        "sql": f"SELECT {a}.id, COUNT(*) AS total, SUM({b}.amount)\nFROM {a}s {a}\nLEFT JOIN {b}s {b} ON {b}.{a}_id = {a}.id\nWHERE {a}.created_at >= '2026-0{n % 9 + 1}-01'\nGROUP BY {a}.id\nHAVING COUNT(*) > {n}\nORDER BY total DESC LIMIT {m};",
        "bash": f"#!/usr/bin/env bash\nset -euo pipefail\nfor f in /var/log/{a}/*.log; do\n  grep -c 'ERROR' \"$f\" | awk '{{s+=$1}} END {{print s}}'\ndone\nkill -9 $(pgrep -f {b}-worker) || true\ndocker exec {a} sh -c 'rm -rf /tmp/{b}'",
        "go": f"func ({a[0]} *{A}) {f.capitalize()}(ctx context.Context, n int) error {{\n\tfor i := 0; i < n; i++ {{\n\t\tif err := {a[0]}.{g}(ctx, i*{n}); err != nil {{\n\t\t\treturn fmt.Errorf(\"{f} %d: %w\", i, err)\n\t\t}}\n\t}}\n\treturn nil\n}}",
        "java": f"public class {A}Service {{\n    private final Map<String, {A}> cache = new HashMap<>();\n\n    public Optional<{A}> {f}(String id) {{\n        return Optional.ofNullable(cache.get(id)).filter(x -> x.size() > {n});\n    }}\n}}",
        "c": f"static int {f}_{a}(struct {a} *p, size_t n)\n{{\n\tfor (size_t i = 0; i < n; i++)\n\t\tif (p[i].flags & 0x{m:x})\n\t\t\treturn -EINVAL;\n\treturn 0;\n}}",
        "html": f"<div class=\"{a}-list\">\n  <h2>{A}s</h2>\n  <ul>\n    <li><a href=\"/{a}s/{n}\">{A} {n}</a></li>\n    <li><a href=\"/{a}s/{m}\">{A} {m}</a></li>\n  </ul>\n</div>",
        "yaml": f"apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {a}-{b}\nspec:\n  replicas: {n % 9 + 1}\n  template:\n    spec:\n      containers:\n        - name: {a}\n          image: registry.example/{a}:{n}.{m % 10}\n          resources:\n            limits: {{cpu: {n}m, memory: {m}Mi}}",
        "css": f".{a} > .{b}:hover {{\n  margin: {n}px auto;\n  color: #{m:06x};\n  transform: translateY(-{n % 9}px);\n}}",
        "regex": f"^(?:{a}|{b})-(\\d{{{n % 6 + 1},{n % 6 + 4}}})\\.(?:json|csv)$",
        "toml": f"[package]\nname = \"{a}-{b}\"\nversion = \"0.{n}.{m % 10}\"\n\n[dependencies]\nserde = {{ version = \"1\", features = [\"derive\"] }}",
        "diff": f"--- a/src/{a}.rs\n+++ b/src/{a}.rs\n@@ -{n},6 +{n},7 @@\n-    let {b} = {f}({n});\n+    let {b} = {g}({n})?;\n+    debug_assert!({b} > 0);",
    }
    lang = rng.choice(list(blocks))
    block = blocks[lang] if rng.random() < 0.3 else f"```{lang}\n{blocks[lang]}\n```"
    before = rng.choice(["", "", f"Here is how to {f} every {a}:\n\n", f"This fixes the {b} bug.\n\n", "次のように書けます。\n\n", "Voici le code :\n\n", "Prueba con esto:\n\n", f"You can {f} the {a} like this:\n"])
    after = rng.choice(["", "", f"\n\nIt runs in O(n) and stops at {n}.", f"\n\nNote: `{f}` kills child processes first.", "\n\nエラーの場合は例外になります。", f"\n\nRun it with `make {f}`."])
    return before + block + after


def log(rng: random.Random) -> str:
    lines = []
    h, m, s = rng.randint(0, 23), rng.randint(0, 59), rng.randint(0, 59)
    for _ in range(rng.randint(2, 16)):
        s += rng.randint(0, 9)
        stamp = f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}T{h:02}:{(m + s // 60) % 60:02}:{s % 60:02}Z"
        a = rng.choice(THINGS)
        lines.append(
            rng.choice(
                [
                    f"{stamp} INFO  {a}: {rng.choice(VERBS)} done in {rng.randint(1, 900)} ms", f"{stamp} WARN  {a}-{rng.randint(1, 40)} slow, {rng.randint(2, 9)} retries left", f"{stamp} ERROR {a}: connection reset by peer (errno 104)",
                    f"{stamp} [worker-{rng.randint(0, 9)}] killed by signal 9, respawning", f"{rng.randint(1, 255)}.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(0, 255)} - - \"GET /{a}s/{rng.randint(1, 999)} HTTP/1.1\" {rng.choice([200, 200, 304, 404, 500])} {rng.randint(100, 9999)}",
                    f"{rng.getrandbits(128):032x}  {a}.bin", f"panicked at src/{a}.rs:{rng.randint(1, 400)}:{rng.randint(1, 60)}: index out of bounds", f"test {a}::{rng.choice(VERBS)} ... ok",
                ]
            )
        )
    return rng.choice(["", "", "The log shows:\n", "直近のログです。\n"]) + "\n".join(lines)


def call(rng: random.Random) -> str:
    """A tool call's arguments."""
    value = {rng.choice(COLUMNS): rng.choice([rng.randint(0, 9999), rng.choice(STATES), rng.choice(CITIES).replace("_", " "), True, None, [rng.choice(THINGS), rng.choice(THINGS)], f"{rng.choice(VERBS)} the {rng.choice(THINGS)}"]) for _ in range(rng.randint(1, 6))}
    if rng.random() < 0.5:
        value = {"name": f"{rng.choice(VERBS)}_{rng.choice(THINGS)}", "arguments": value}
    return json.dumps(value, ensure_ascii=rng.random() < 0.3, indent=rng.choice([None, None, 2]))


def names(rng: random.Random) -> str:
    some = [rng.choice(NAMES) + rng.choice(["", " " + rng.choice(NAMES)]) for _ in range(rng.randint(4, 40))]
    return rng.choice(["", "Attendees: ", "参加者：", "Winners:\n"]) + rng.choice([", ", "\n", "\n- ", "; "]).join(some)


def recipe(rng: random.Random) -> str:
    some = [i.replace("_", " ") for i in rng.sample(INGREDIENTS, rng.randint(3, 9))]
    lines = [f"- {rng.choice([str(rng.randint(1, 500)), '1/2', '1 1/2'])} {rng.choice(UNITS)} {i}" for i in some]
    steps = [rng.choice([f"Beat the {i} until stiff.", f"Cut the {i} into small pieces.", f"Boil the {i} for {rng.randint(3, 40)} minutes.", f"Crush the {i} and kill the heat.", f"Fold in the {i}.", f"Bake at {rng.randint(150, 240)} °C until golden.", f"{i}を加えて{rng.randint(2, 20)}分煮る。", f"Add the {i} and stir."]) for i in some]
    return rng.choice(["", f"Serves {rng.randint(2, 8)}.\n", "材料：\n"]) + "\n".join(lines) + "\n\n" + "\n".join(f"{n}. {s}" for n, s in enumerate(steps, 1))


OPEN = {
    "en": ["I want to make sure that I understood you.", "I think the second plan is safer.", "I believe the figure in the report is wrong.", "I would start with the smaller room.", "I feel that the tone of the letter is a little stiff.", "I need one more detail from you.", "I'm afraid the shop is closed on Mondays.",
           "I was wrong about the date; the meeting is on Friday.", "I made a mistake in step three and have corrected it.", "I don't know that library well enough to be sure.", "I can't open attachments, but you can paste the text.", "I love how clear your outline is, though the ending is weak.", "I hope the surgery goes well.",
           "I'm only a program, but I can listen.", "I'm sorry for your loss.", "I'd rather not guess; the manual will tell.", "I found three flights under your budget.", "I have read the contract, and clause 7 worries me.", "I disagree: the data do not show that.", "I never store your messages after this session.", "We could also ask the neighbours first.",
           "You are right, and I have changed the total.", "You deserve a break; the draft can wait.", "You must not mix these two cleaners: the fumes can kill.", "My suggestion is to wait until the rates fall.", "My answer above left out the tax.", "Honestly, the first version was better.", "Please call a doctor if the pain gets worse.", "That is a real risk, and here is how to lower it."],
    "ja": ["念のため確認させてください。", "二つ目の案のほうが安全だと思います。", "先ほどの計算に誤りがありました。訂正します。", "申し訳ありませんが、その資料は開けません。", "お気持ち、お察しします。", "私はプログラムですが、お話は伺えます。", "正直に言うと、最初の案のほうが良いと思います。", "この薬は飲み合わせに注意が必要です。医師に相談してください。", "私なら小さい部屋から始めます。", "あと一つだけ教えてください。", "それはデータからは言えません。", "混ぜると有毒なガスが出て危険です。", "おっしゃる通りで、合計を直しました。"],
    "de": ["Ich glaube, der zweite Plan ist sicherer.", "Ich habe mich beim Datum geirrt.", "Es tut mir leid, den Anhang kann ich nicht öffnen.", "Ich bin nur ein Programm, aber ich höre zu."],
    "fr": ["Je pense que le deuxième plan est plus sûr.", "Je me suis trompé de date.", "Je suis désolé, je ne peux pas ouvrir la pièce jointe.", "Je ne suis qu'un programme, mais je vous écoute."],
    "es": ["Creo que el segundo plan es más seguro.", "Me equivoqué de fecha.", "Lo siento, no puedo abrir el archivo.", "Solo soy un programa, pero te escucho."],
    "pt": ["Acho que o segundo plano é mais seguro.", "Errei a data.", "Desculpe, não consigo abrir o anexo.", "Sou só um programa, mas posso ouvir."],
    "zh": ["我认为第二个方案更安全。", "我把日期弄错了，已经改正。", "抱歉，我打不开附件。", "我只是程序，但我可以听你说。"],
    "ko": ["두 번째 계획이 더 안전하다고 생각해요.", "날짜를 잘못 적었네요. 고쳤습니다.", "죄송하지만 첨부 파일은 열 수 없어요.", "저는 프로그램일 뿐이지만 들어 드릴 수 있어요."],
}


def plain(rng: random.Random) -> tuple[str, str]:
    """(language, an "I" sentence or two of no harm): short first-person text is not a sign of anything."""
    lang = rng.choices(list(OPEN), [45, 25, 5, 5, 5, 5, 5, 5])[0]
    some = rng.sample(OPEN[lang], rng.randint(1, min(3, len(OPEN[lang]))))
    return lang, ("" if lang in ("ja", "zh") else " ").join(some)


def odd(rng: random.Random) -> str:
    """Any of the forms that are no prose."""
    return rng.choices([numbers, sums, table, code, log, call, names, recipe], [5, 3, 4, 6, 3, 4, 1.5, 2])[0](rng)
