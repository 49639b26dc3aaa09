// One session of a TypeScript SDK client: node session.cjs '{"packages", "sdk", "target", "tool", "arguments", "answer"}'
// Prints one JSON line: {"revision", "tools", "text", "isError"}, with "read" and "prompted" if they were asked for.
//   packages   directory that has node_modules
//   sdk        "1" (@modelcontextprotocol/sdk), "2" (@modelcontextprotocol/client), or "2-auto" (negotiates)
//   target     {"command": [...]} for stdio, or {"url": "..."}
//   resource   the URI of a resource to read, if any
//   prompt     {"name", "arguments"} of a prompt to get, if any
//   answer     what the person says to a question, "accept" or "decline"; without it, the client can't ask
"use strict";

const { createRequire } = require("node:module");
const path = require("node:path");

const given = JSON.parse(process.argv[2]);
const load = createRequire(path.join(given.packages, "package.json"));
const info = { name: "gatelodge-tests", version: "0" };
const modules =
  given.sdk === "1"
    ? {
        ...load("@modelcontextprotocol/sdk/client/index.js"),
        ...load("@modelcontextprotocol/sdk/client/stdio.js"),
        ...load("@modelcontextprotocol/sdk/client/streamableHttp.js"),
      }
    : { ...load("@modelcontextprotocol/client"), ...load("@modelcontextprotocol/client/stdio") };

async function main() {
  const capabilities = given.answer ? { elicitation: { form: {} } } : {};
  const negotiation = given.sdk === "2-auto" ? { versionNegotiation: { mode: "auto" } } : {};
  const client = new modules.Client(info, { capabilities, ...negotiation });
  const questions = [];
  if (given.answer) {
    const question =
      given.sdk === "1" ? load("@modelcontextprotocol/sdk/types.js").ElicitRequestSchema : "elicitation/create";
    client.setRequestHandler(question, async (request) => {
      questions.push(request.params.message);
      return given.answer === "accept" ? { action: "accept", content: {} } : { action: given.answer };
    });
  }
  const http = given.target.url !== undefined;
  const transport = http
    ? new modules.StreamableHTTPClientTransport(new URL(given.target.url))
    : new modules.StdioClientTransport({
        command: given.target.command[0],
        args: given.target.command.slice(1),
        stderr: "inherit",
        env: process.env,
      });
  await client.connect(transport);
  try {
    const { tools } = await client.listTools();
    const result = await client.callTool({ name: given.tool, arguments: given.arguments });
    // SDK 1.x doesn't keep the revision; over stdio it is what the transport was told, which it doesn't keep either.
    const revision = client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion ?? "";
    const text = result.content.filter((block) => block.type === "text").map((block) => block.text);
    const line = { revision, tools: tools.map((tool) => tool.name), text: text.join("\n"), questions, isError: result.isError === true };
    if (given.resource) {
      const { contents } = await client.readResource({ uri: given.resource });
      line.read = contents.map((part) => part.text).join("\n");
    }
    if (given.prompt) {
      const { messages } = await client.getPrompt(given.prompt);
      line.prompted = messages.map((message) => message.content.text).join("\n");
    }
    process.stdout.write(JSON.stringify(line) + "\n");
  } finally {
    await client.close();
  }
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exitCode = 1;
});
