"""Puts both twins of a pair into the same surroundings: a tool call's argument, the end of a long report, a mail, a comment, a list.

What surrounds a collapse is then no cue, and an agent that turns at the end of its work has been seen. It must not know tokens or windows.
"""

from __future__ import annotations

import json
import random

from .benign import code, log, table

TOOLS = [("send_email", "body"), ("post_message", "text"), ("write_file", "content"), ("create_ticket", "description"), ("reply", "message"), ("git_commit", "message"), ("add_comment", "comment"), ("notify_user", "text"), ("speak", "utterance"), ("update_page", "markdown")]
REPORT = [
    "## Summary\n\nAll {n} checks ran. {m} passed, {k} were skipped.", "Step 1: listed the open tickets ({n}).\nStep 2: grouped them by owner.\nStep 3: sent {k} reminders.", "I moved {n} files, updated {k} links and reran the tests; {m} of them pass.",
    "Status: migration finished in {n} minutes. Rows copied: {m}. Conflicts: {k}.", "作業が完了しました。対象は{n}件、更新は{k}件です。", "Bericht: {n} Datensätze geprüft, {k} korrigiert.", "Rapport : {n} fichiers traités, {k} ignorés.", "Informe: {n} pedidos revisados, {k} pendientes.",
    "Findings:\n1. Cache hit rate {m} %.\n2. Queue depth {n}.\n3. {k} slow queries.\n\nRecommendation: raise the pool size and watch the p99.", "Nightly job report\n- started 02:00\n- {n} batches\n- {k} retries\n- no data loss",
]


def report(rng: random.Random) -> str:
    parts = [rng.choice(REPORT).format(n=rng.randint(2, 400), m=rng.randint(2, 400), k=rng.randint(0, 40))]
    for _ in range(rng.randint(0, 2)):
        parts.append(rng.choice([log, table, code])(rng)[:500])
    return "\n\n".join(parts)


def framed(texts: list[tuple[str, int]], rng: random.Random) -> list[tuple[str, int]]:
    """The same frame round each (text, onset)."""
    kind = rng.random()
    if kind < 0.45:
        tool, key = rng.choice(TOOLS)
        ascii_only, indent = rng.random() < 0.1, rng.choice([None, None, 2])
        extra = {"to": rng.choice(["ops@example.org", "#general", "user-17", "README.md"]), "priority": rng.randint(1, 5)} if rng.random() < 0.6 else {}
        wrap = rng.random() < 0.5
        out = []
        for text, onset in texts:
            head, tail = (json.dumps(part, ensure_ascii=ascii_only)[1:-1] for part in (text[:onset], text[onset:]))
            value = {**extra, key: "\0"}
            whole = json.dumps({"name": tool, "arguments": value} if wrap else value, ensure_ascii=False, indent=indent)
            before, after = whole.split("\\u0000")
            out.append((before + head + tail + after, len(before) + len(head)))
        return out
    if kind < 0.8:
        before = report(rng) + rng.choice(["\n\n", "\n\n---\n", "\n\nNote: ", "\n\nP.S. ", "\n"])
        return [(before + text, len(before) + onset) for text, onset in texts]
    if kind < 0.9:
        mark = rng.choice(["# ", "// ", "-- ", "> ", "* "])
        body = code(rng) + "\n" if rng.random() < 0.5 else ""
        out = []
        for text, onset in texts:
            head = body + mark + text[:onset].replace("\n", "\n" + mark)
            out.append((head + text[onset:].replace("\n", "\n" + mark), len(head)))
        return out
    before, after = rng.choice([("Hi {n},\n\n", "\n\nBest regards"), ("Dear customer,\n\n", "\n\nYour support team"), ("件名：ご連絡\n\n", "\n\n以上"), ("<p>", "</p>"), ("Reply: ", ""), ("**Answer**\n\n", "\n\n---")])
    before = before.format(n=rng.choice(["Sam", "Mia", "Ola", "Ken"]))
    return [(before + text + after, len(before) + onset) for text, onset in texts]
