// Runs one SDK's ways of asking through each case, and prints what the SDK gave back, one JSON object a line: see ../common.py.
//
//     node openai.mjs GATEWAY_URL UPSTREAM_URL CASE...

export const TIMEOUT = 20_000; // milliseconds an SDK may wait for one answer
export const QUESTION = "What is worth knowing?";
export const TOOL = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };

// A hang is a failure.
setTimeout(() => {
  console.error("the script did not end in time");
  process.exit(3);
}, 200_000).unref();

async function result(mode, base, name) {
  try {
    const [text, finish] = await mode(base, name);
    return { text, finish: finish ?? null, error: null };
  } catch (error) {
    console.error(`${mode.name}/${name}: ${error}`);
    const status = error?.status ?? error?.statusCode;
    return { text: "", finish: null, error: error.constructor.name + (Number.isInteger(status) ? `:${status}` : "") };
  }
}

export async function main(modes) {
  const [gateway, upstream, ...cases] = process.argv.slice(2);
  for (const mode of modes) {
    for (const name of cases) {
      console.log(JSON.stringify({ mode: mode.name, case: name, ...(await result(mode, gateway, name)) }));
    }
    for (const name of ["allow", "filtered"]) {
      console.log(JSON.stringify({ mode: mode.name, case: `direct ${name}`, ...(await result(mode, upstream, name)) }));
    }
  }
}
