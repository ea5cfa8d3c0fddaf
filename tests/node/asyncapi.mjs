// Parse an AsyncAPI document: print what the parser has to say of it, as JSON lines; 1 if that is an
// error (severity 0) or a warning (1). That there is a newer AsyncAPI than 3.0 is neither.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
for (const { severity, code, message, path } of diagnostics) {
  console.log(JSON.stringify({ severity, code, message, path: path.join("/") }));
}
process.exit(diagnostics.some(({ severity }) => severity <= 1) ? 1 : 0);
