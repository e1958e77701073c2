"""OpenAI's Python SDK, Completions: what bare base models are asked through."""

from openai import OpenAI

from common import QUESTION, TIMEOUT, main


def client(base):
    return OpenAI(base_url=base + "/v1", api_key="sk-test", timeout=TIMEOUT, max_retries=0).completions


def create(base, case):
    choice = client(base).create(model=case, prompt=QUESTION).choices[0]
    return choice.text, choice.finish_reason


def stream(base, case):
    text, finish = "", None
    for chunk in client(base).create(model=case, prompt=QUESTION, stream=True):
        for choice in chunk.choices:
            text += choice.text or ""
            finish = choice.finish_reason or finish
    return text, finish


main([create, stream])
