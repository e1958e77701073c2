"""Runs one SDK's ways of asking (modes) through each case, and prints what the SDK gave back, one JSON object a line.

    python openai_chat.py GATEWAY_URL UPSTREAM_URL CASE...

A case is the model's name: the scripted upstream answers by it. Each mode is asked through the gateway for every case, and at the upstream
itself for `allow` and `filtered` (an answer that the API itself held back): what a client without a gateway would see. An exception is a
result too: its class and, where it has one, its HTTP status.
"""

import faulthandler
import json
import sys

# A hang is a failure; it ends here and shows where.
faulthandler.dump_traceback_later(200, exit=True)

TIMEOUT = 20  # seconds an SDK may wait for one answer
TOOL = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
QUESTION = "What is worth knowing?"


def result(mode, base, case):
    text, finish, error = "", None, None
    try:
        text, finish = mode(base, case)
    except Exception as exception:  # noqa: BLE001: whatever an SDK raises is what we are here to see
        status = getattr(exception, "status_code", None) or getattr(exception, "code", None)
        response = getattr(exception, "response", None)
        if isinstance(response, dict):  # botocore
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        error = type(exception).__name__ + (f":{status}" if isinstance(status, int) else "")
        print(f"{mode.__name__}/{case}: {exception!r}", file=sys.stderr)
    return {"text": text, "finish": finish, "error": error}


def main(modes):
    gateway, upstream, *cases = sys.argv[1:]
    for mode in modes:
        for case in cases:
            row = {"mode": mode.__name__, "case": case, **result(mode, gateway, case)}
            print(json.dumps(row, ensure_ascii=False), flush=True)
        for case in ("allow", "filtered"):
            row = {"mode": mode.__name__, "case": "direct " + case, **result(mode, upstream, case)}
            print(json.dumps(row, ensure_ascii=False), flush=True)
