"""AWS's Python SDK, Bedrock's Converse: signed requests, binary event streams."""

import boto3
from botocore.config import Config

from common import QUESTION, TIMEOUT, TOOL, main

TOOLS = {"tools": [{"toolSpec": {"name": "weather", "inputSchema": {"json": TOOL}}}]}


def client(base):
    config = Config(connect_timeout=TIMEOUT, read_timeout=TIMEOUT, retries={"total_max_attempts": 1}, proxies={})
    return boto3.client(
        "bedrock-runtime", region_name="us-east-1", endpoint_url=base, aws_access_key_id="AKIATEST", aws_secret_access_key="test", config=config
    )


def asked(case):
    return {"modelId": case, "system": [{"text": "You are Aria."}], "messages": [{"role": "user", "content": [{"text": QUESTION}]}]}


def shown(blocks):
    return "".join(block["text"] if "text" in block else str(block["toolUse"]["input"].get("city")) for block in blocks)


def converse(base, case):
    answer = client(base).converse(**asked(case))
    return shown(answer["output"]["message"]["content"]), answer["stopReason"]


def converse_stream(base, case):
    text, finish = "", None
    for event in client(base).converse_stream(**asked(case))["stream"]:
        text += event.get("contentBlockDelta", {}).get("delta", {}).get("text", "")
        finish = event.get("messageStop", {}).get("stopReason", finish)
    return text, finish


def tools(base, case):
    answer = client(base).converse(**asked(case), toolConfig=TOOLS)
    return shown(answer["output"]["message"]["content"]), answer["stopReason"]


main([converse, converse_stream, tools])
