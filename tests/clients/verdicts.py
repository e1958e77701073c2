"""Asks the admin port for verdicts, as other gateways do: with OpenAI's moderations and with LiteLLM's generic guardrail. One JSON object a line.

    python verdicts.py ADMIN_URL TOKEN TEXT...
"""

import asyncio
import faulthandler
import json
import os
import sys

# A hang is a failure; it ends here and shows where.
faulthandler.dump_traceback_later(100, exit=True)
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or LiteLLM asks the network for prices as it starts

import openai  # noqa: E402
from litellm.exceptions import GuardrailRaisedException  # noqa: E402
from litellm.proxy.guardrails.guardrail_hooks.generic_guardrail_api.generic_guardrail_api import GenericGuardrailAPI  # noqa: E402


def moderate(admin, token, texts):
    client = openai.OpenAI(base_url=admin + "/v1", api_key=token, max_retries=0)
    for text, result in zip(texts, client.moderations.create(input=texts).results, strict=True):
        categories, scores = result.categories.to_dict(), result.category_scores.to_dict()
        yield {"mode": "moderations", "text": text, "flagged": result.flagged, "true": sorted(name for name in categories if categories[name]), "scores": scores}
    parts = client.moderations.create(input=[{"type": "text", "text": texts[0]}], model="steadfast//")
    yield {"mode": "parts", "flagged": parts.results[0].flagged, "model": parts.model}
    try:
        client.moderations.create(input="x", model="steadfast/nowhere")
    except openai.BadRequestError as error:
        yield {"mode": "no route", "message": error.message}
    try:
        openai.OpenAI(base_url=admin + "/v1", api_key="wrong", max_retries=0).moderations.create(input="x")
    except openai.AuthenticationError as error:
        yield {"mode": "wrong token", "status": error.status_code}


async def guard(admin, token, texts):
    guardrail = GenericGuardrailAPI(api_base=admin, api_key=token, guardrail_name="steadfast", event_hook="post_call", default_on=True)
    for kind in ("response", "request"):
        for text in texts:
            inputs = {"texts": [text], "model": "m", "structured_messages": [{"role": "user", "content": "hi"}]}
            try:
                given = await guardrail.apply_guardrail(inputs=inputs, request_data={}, input_type=kind)
                yield {"mode": f"litellm {kind}", "text": text, "given": given["texts"]}
            except GuardrailRaisedException as error:
                yield {"mode": f"litellm {kind}", "text": text, "blocked": str(error)}


async def main():
    admin, token, *texts = sys.argv[1:]
    for row in moderate(admin, token, texts):
        print(json.dumps(row), flush=True)
    async for row in guard(admin, token, texts):
        print(json.dumps(row), flush=True)


asyncio.run(main())
