"""Ollama's Python SDK: chat and generate."""

from ollama import Client

from common import QUESTION, TIMEOUT, main


def client(base):
    return Client(host=base, timeout=TIMEOUT)


def asked(case):
    return {"model": case, "messages": [{"role": "user", "content": QUESTION}]}


def chat(base, case):
    answer = client(base).chat(**asked(case))
    return answer.message.content or "", answer.done_reason


def chat_stream(base, case):
    text, finish = "", None
    for part in client(base).chat(**asked(case), stream=True):
        text += part.message.content or ""
        finish = part.done_reason or finish
    return text, finish


def generate(base, case):
    answer = client(base).generate(model=case, prompt=QUESTION)
    return answer.response, answer.done_reason


def generate_stream(base, case):
    text, finish = "", None
    for part in client(base).generate(model=case, prompt=QUESTION, stream=True):
        text += part.response or ""
        finish = part.done_reason or finish
    return text, finish


main([chat, chat_stream, generate, generate_stream])
