"""OpenAI's Python SDK, Responses."""

from openai import OpenAI
from pydantic import BaseModel

from common import QUESTION, TIMEOUT, TOOL, main


class Answer(BaseModel):
    answer: str


TOOLS = [{"type": "function", "name": "weather", "parameters": TOOL, "strict": True}]


def client(base):
    return OpenAI(base_url=base + "/v1", api_key="sk-test", timeout=TIMEOUT, max_retries=0).responses


def asked(case):
    return {"model": case, "input": QUESTION, "instructions": "You are Aria."}


def finish(response):
    reason = response.incomplete_details.reason if response.incomplete_details else None
    return response.status + (f"/{reason}" if reason else "")


def create(base, case):
    response = client(base).create(**asked(case))
    return response.output_text, finish(response)


def stream(base, case):
    text, end = "", None
    for event in client(base).create(**asked(case), stream=True):
        if event.type == "response.output_text.delta":
            text += event.delta
        if event.type in ("response.completed", "response.incomplete", "response.failed"):
            end = finish(event.response)
    return text, end


def stream_helper(base, case):
    with client(base).stream(**asked(case)) as events:
        text, end = "", None
        for event in events:
            if event.type == "response.output_text.delta":
                text += event.delta
            if event.type in ("response.completed", "response.incomplete"):
                end = finish(event.response)
    return text, end


def parse(base, case):
    response = client(base).parse(**asked(case), text_format=Answer)
    return response.output_parsed.answer if response.output_parsed else response.output_text, finish(response)


def tools(base, case):
    response = client(base).create(**asked(case), tools=TOOLS)
    calls = [item.arguments for item in response.output if item.type == "function_call"]
    return "".join(calls) or response.output_text, finish(response)


def tools_stream(base, case):
    text, end = "", None
    for event in client(base).create(**asked(case), tools=TOOLS, stream=True):
        if event.type in ("response.output_text.delta", "response.function_call_arguments.delta"):
            text += event.delta
        if event.type in ("response.completed", "response.incomplete", "response.failed"):
            end = finish(event.response)
    return text, end


main([create, stream, stream_helper, parse, tools, tools_stream])
