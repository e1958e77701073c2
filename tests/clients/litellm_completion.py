"""LiteLLM as a client library, over its providers for OpenAI and Anthropic."""

import os

os.environ.update(LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_TELEMETRY="False")

import litellm

from common import QUESTION, TIMEOUT, main

litellm.suppress_debug_info = True  # it would go where our results go


def asked(provider, base, case):
    suffix = "/v1" if provider == "openai" else ""
    messages = [{"role": "user", "content": QUESTION}]
    return {"model": f"{provider}/{case}", "messages": messages, "api_base": base + suffix, "api_key": "key", "timeout": TIMEOUT, "max_retries": 0}


def whole(provider, base, case):
    choice = litellm.completion(**asked(provider, base, case)).choices[0]
    return choice.message.content or "", choice.finish_reason


def streamed(provider, base, case):
    text, finish = "", None
    for chunk in litellm.completion(**asked(provider, base, case), stream=True):
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
    return text, finish


def openai(base, case):
    return whole("openai", base, case)


def openai_stream(base, case):
    return streamed("openai", base, case)


def anthropic(base, case):
    return whole("anthropic", base, case)


def anthropic_stream(base, case):
    return streamed("anthropic", base, case)


main([openai, openai_stream, anthropic, anthropic_stream])
