"""Mistral's Python SDK: Chat Completions with its own types."""

try:
    from mistralai.client import Mistral
except ImportError:  # before version 2
    from mistralai import Mistral

from common import QUESTION, TIMEOUT, main


def client(base):
    return Mistral(api_key="key", server_url=base, timeout_ms=TIMEOUT * 1000).chat


def asked(case):
    return {"model": case, "messages": [{"role": "user", "content": QUESTION}]}


def create(base, case):
    choice = client(base).complete(**asked(case)).choices[0]
    return choice.message.content or "", choice.finish_reason


def stream(base, case):
    text, finish = "", None
    for event in client(base).stream(**asked(case)):
        for choice in event.data.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
    return text, finish


main([create, stream])
