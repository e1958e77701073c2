// Vercel's AI SDK over its providers for OpenAI (Chat Completions and Responses), OpenAI-compatible servers and Anthropic.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";
import { main, QUESTION } from "./common.mjs";

const providers = {
  chat: (base) => createOpenAI({ baseURL: `${base}/v1`, apiKey: "sk-test" }).chat,
  responses: (base) => createOpenAI({ baseURL: `${base}/v1`, apiKey: "sk-test" }).responses,
  compatible: (base) => createOpenAICompatible({ name: "compatible", baseURL: `${base}/v1`, apiKey: "sk-test" }),
  anthropic: (base) => createAnthropic({ baseURL: `${base}/v1`, apiKey: "sk-ant-test" }),
};

function modes(name, provider) {
  const asked = (base, model) => ({ model: provider(base)(model), prompt: QUESTION, maxRetries: 0, maxOutputTokens: 500 });
  const all = {
    async [name](base, model) {
      const result = await generateText(asked(base, model));
      return [result.text, result.finishReason];
    },
    async [`${name}_stream`](base, model) {
      let failure;
      const result = streamText({ ...asked(base, model), onError: ({ error }) => (failure = error) });
      let text = "";
      for await (const part of result.textStream) text += part;
      if (failure) throw failure;
      return [text, await result.finishReason];
    },
  };
  return Object.values(all);
}

await main(Object.entries(providers).flatMap(([name, provider]) => modes(name, provider)));
