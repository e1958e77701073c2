// OpenAI's Node SDK: Chat Completions, Completions, Responses.

import OpenAI from "openai";
import { main, QUESTION, TIMEOUT, TOOL } from "./common.mjs";

const client = (base) => new OpenAI({ baseURL: `${base}/v1`, apiKey: "sk-test", timeout: TIMEOUT, maxRetries: 0 });
const asked = (model) => ({ model, messages: [{ role: "system", content: "You are Aria." }, { role: "user", content: QUESTION }] });
const tools = [{ type: "function", function: { name: "weather", parameters: TOOL, strict: true } }];

async function chat(base, model) {
  const [choice] = (await client(base).chat.completions.create(asked(model))).choices;
  return [choice.message.content ?? "", choice.finish_reason];
}

async function chat_stream(base, model) {
  let [text, finish] = ["", null];
  for await (const chunk of await client(base).chat.completions.create({ ...asked(model), stream: true })) {
    for (const choice of chunk.choices) {
      text += choice.delta.content ?? "";
      finish = choice.finish_reason ?? finish;
    }
  }
  return [text, finish];
}

async function chat_stream_helper(base, model) {
  const [choice] = (await client(base).chat.completions.stream(asked(model)).finalChatCompletion()).choices;
  return [choice.message.content ?? "", choice.finish_reason];
}

async function chat_tools_stream(base, model) {
  let [text, finish] = ["", null];
  for await (const chunk of await client(base).chat.completions.create({ ...asked(model), tools, stream: true })) {
    for (const choice of chunk.choices) {
      text += choice.delta.content ?? "";
      for (const call of choice.delta.tool_calls ?? []) text += call.function?.arguments ?? "";
      finish = choice.finish_reason ?? finish;
    }
  }
  return [text, finish];
}

async function completions(base, model) {
  const [choice] = (await client(base).completions.create({ model, prompt: QUESTION })).choices;
  return [choice.text, choice.finish_reason];
}

async function completions_stream(base, model) {
  let [text, finish] = ["", null];
  for await (const chunk of await client(base).completions.create({ model, prompt: QUESTION, stream: true })) {
    for (const choice of chunk.choices) {
      text += choice.text ?? "";
      finish = choice.finish_reason ?? finish;
    }
  }
  return [text, finish];
}

const ending = (response) => response.status + (response.incomplete_details ? `/${response.incomplete_details.reason}` : "");

async function responses(base, model) {
  const response = await client(base).responses.create({ model, input: QUESTION });
  return [response.output_text, ending(response)];
}

async function responses_stream(base, model) {
  let [text, finish] = ["", null];
  for await (const event of await client(base).responses.create({ model, input: QUESTION, stream: true })) {
    if (event.type === "response.output_text.delta") text += event.delta;
    if (["response.completed", "response.incomplete", "response.failed"].includes(event.type)) finish = ending(event.response);
  }
  return [text, finish];
}

await main([chat, chat_stream, chat_stream_helper, chat_tools_stream, completions, completions_stream, responses, responses_stream]);
