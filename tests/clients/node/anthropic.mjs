// Anthropic's Node SDK.

import Anthropic from "@anthropic-ai/sdk";
import { main, QUESTION, TIMEOUT, TOOL } from "./common.mjs";

const client = (base) => new Anthropic({ baseURL: base, apiKey: "sk-ant-test", timeout: TIMEOUT, maxRetries: 0 });
const asked = (model) => ({ model, max_tokens: 500, system: "You are Aria.", messages: [{ role: "user", content: QUESTION }] });
const shown = (message) => message.content.map((block) => (block.type === "text" ? block.text : JSON.stringify(block.input))).join("");

async function create(base, model) {
  const message = await client(base).messages.create(asked(model));
  return [shown(message), message.stop_reason];
}

async function stream(base, model) {
  let [text, finish] = ["", null];
  for await (const event of await client(base).messages.create({ ...asked(model), stream: true })) {
    if (event.type === "content_block_delta" && event.delta.type === "text_delta") text += event.delta.text;
    if (event.type === "message_delta") finish = event.delta.stop_reason;
  }
  return [text, finish];
}

async function stream_helper(base, model) {
  const message = await client(base).messages.stream(asked(model)).finalMessage();
  return [shown(message), message.stop_reason];
}

async function tools(base, model) {
  const message = await client(base).messages.create({ ...asked(model), tools: [{ name: "weather", input_schema: TOOL }] });
  return [shown(message), message.stop_reason];
}

await main([create, stream, stream_helper, tools]);
