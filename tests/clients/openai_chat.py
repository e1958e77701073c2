"""OpenAI's Python SDK, Chat Completions."""

from openai import OpenAI
from pydantic import BaseModel

from common import QUESTION, TIMEOUT, TOOL, main


class Answer(BaseModel):
    answer: str


def client(base):
    return OpenAI(base_url=base + "/v1", api_key="sk-test", timeout=TIMEOUT, max_retries=0).chat.completions


def asked(case):
    return {"model": case, "messages": [{"role": "system", "content": "You are Aria."}, {"role": "user", "content": QUESTION}]}


TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": TOOL, "strict": True}}]


def create(base, case):
    choice = client(base).create(**asked(case)).choices[0]
    return choice.message.content or "", choice.finish_reason


def stream(base, case):
    text, finish = "", None
    for chunk in client(base).create(**asked(case), stream=True):
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
    return text, finish


def stream_helper(base, case):
    with client(base).stream(**asked(case)) as events:
        for _ in events:
            pass
        choice = events.get_final_completion().choices[0]
    return choice.message.content or "", choice.finish_reason


def parse(base, case):
    choice = client(base).parse(**asked(case), response_format=Answer).choices[0]
    return choice.message.parsed.answer if choice.message.parsed else choice.message.content or "", choice.finish_reason


def tools(base, case):
    choice = client(base).create(**asked(case), tools=TOOLS).choices[0]
    calls = choice.message.tool_calls or []
    return "".join(call.function.arguments for call in calls) or choice.message.content or "", choice.finish_reason


def tools_stream(base, case):
    text, finish = "", None
    for chunk in client(base).create(**asked(case), tools=TOOLS, stream=True):
        for choice in chunk.choices:
            text += choice.delta.content or ""
            text += "".join(call.function.arguments or "" for call in choice.delta.tool_calls or [])
            finish = choice.finish_reason or finish
    return text, finish


main([create, stream, stream_helper, parse, tools, tools_stream])
