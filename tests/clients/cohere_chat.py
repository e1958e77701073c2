"""Cohere's Python SDK, the second version's chat."""

import cohere

from common import QUESTION, TIMEOUT, main


def client(base):
    return cohere.ClientV2(api_key="key", base_url=base, timeout=TIMEOUT)


def asked(case):
    return {"model": case, "messages": [{"role": "user", "content": QUESTION}]}


def create(base, case):
    answer = client(base).chat(**asked(case))
    return "".join(part.text for part in answer.message.content or []), answer.finish_reason


def stream(base, case):
    text, finish = "", None
    for event in client(base).chat_stream(**asked(case)):
        if event.type == "content-delta":
            text += event.delta.message.content.text or ""
        if event.type == "message-end":
            finish = event.delta.finish_reason
    return text, finish


main([create, stream])
