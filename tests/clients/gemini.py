"""Google's Python SDK, Gemini's generateContent."""

import functools

from google import genai
from google.genai import types

from common import QUESTION, TIMEOUT, TOOL, main

TOOLS = [types.Tool(function_declarations=[types.FunctionDeclaration(name="weather", parameters_json_schema=TOOL)])]


@functools.cache  # a client that nobody holds is closed under its own request
def opened(base):
    return genai.Client(api_key="key", http_options=types.HttpOptions(base_url=base, timeout=TIMEOUT * 1000))


def client(base):
    return opened(base).models


def asked(case, tools=None):
    config = types.GenerateContentConfig(
        system_instruction="You are Aria.", tools=tools, automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True)
    )
    return {"model": case, "contents": QUESTION, "config": config}


def shown(response):
    if response.function_calls:
        return "".join(str(call.args.get("city")) for call in response.function_calls)
    return response.text or ""


def finish(response):
    reason = response.candidates[0].finish_reason if response.candidates else None
    return reason.name if reason else None


def create(base, case):
    response = client(base).generate_content(**asked(case))
    return shown(response), finish(response)


def stream(base, case):
    text, end = "", None
    for chunk in client(base).generate_content_stream(**asked(case)):
        text += shown(chunk)
        end = finish(chunk) or end
    return text, end


def tools(base, case):
    response = client(base).generate_content(**asked(case, TOOLS))
    return shown(response), finish(response)


main([create, stream, tools])
