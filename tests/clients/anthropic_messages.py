"""Anthropic's Python SDK, Messages."""

import json

from anthropic import Anthropic

from common import QUESTION, TIMEOUT, TOOL, main

TOOLS = [{"name": "weather", "input_schema": TOOL}]


def client(base):
    return Anthropic(base_url=base, api_key="sk-ant-test", timeout=TIMEOUT, max_retries=0).messages


def asked(case):
    return {"model": case, "max_tokens": 500, "system": "You are Aria.", "messages": [{"role": "user", "content": QUESTION}]}


def shown(message):
    return "".join(block.text if block.type == "text" else json.dumps(block.input, ensure_ascii=False) for block in message.content)


def create(base, case):
    message = client(base).create(**asked(case))
    return shown(message), message.stop_reason


def stream(base, case):
    text, finish = "", None
    for event in client(base).create(**asked(case), stream=True):
        if event.type == "content_block_delta" and event.delta.type == "text_delta":
            text += event.delta.text
        if event.type == "message_delta":
            finish = event.delta.stop_reason
    return text, finish


def stream_helper(base, case):
    with client(base).stream(**asked(case)) as events:
        text = "".join(events.text_stream)
        message = events.get_final_message()
    assert shown(message) == text, (shown(message), text)
    return text, message.stop_reason


def tools(base, case):
    message = client(base).create(**asked(case), tools=TOOLS)
    return shown(message), message.stop_reason


def tools_stream(base, case):
    text = ""
    with client(base).stream(**asked(case), tools=TOOLS) as events:
        for event in events:
            if event.type == "content_block_delta" and event.delta.type == "input_json_delta":
                text += event.delta.partial_json
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                text += event.delta.text
        message = events.get_final_message()
    return text, message.stop_reason


main([create, stream, stream_helper, tools, tools_stream])
