// A front end's way round the loop, by types made from the services' own descriptions:
// listen, submit, accept, read what one wrote, read it again for nothing, hear of the change.

import createClient from "openapi-fetch";
import { events } from "./changes.js";
import type { paths as DispatchPaths, components as Dispatch } from "./dispatch.js";
import type { paths as IntakePaths, components as Intake } from "./intake.js";
import type { paths as ReadPaths, components as Read } from "./projections.js";

declare const process: { env: Record<string, string | undefined> };

/** Each service has codes of its own; a misspelt one does not compile. */
type Problem =
  | Intake["schemas"]["Problem"]
  | Dispatch["schemas"]["Problem"]
  | Read["schemas"]["Problem"];
type Told =
  | Read["schemas"]["StoryChanged"]
  | Read["schemas"]["StartOver"]
  | Read["schemas"]["SentAway"];

function setting(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
}

const signedIn = (role: string) => ({
  headers: { Authorization: `Bearer ${setting(`${role}_TOKEN`)}` },
});
const intake = createClient<IntakePaths>({ baseUrl: setting("INTAKE"), ...signedIn("RESIDENT") });
const dispatch = createClient<DispatchPaths>({ baseUrl: setting("DISPATCH"), ...signedIn("DESK") });
const read = createClient<ReadPaths>({ baseUrl: setting("PROJECTIONS"), ...signedIn("DESK") });

function answered<T>(answer: { data?: T; error?: Problem; response: Response }): T {
  if (answer.data === undefined) {
    throw new Error(`${answer.response.status}: ${answer.error?.code} ${answer.error?.detail}`);
  }
  return answer.data;
}

const stream = answered(await read.GET("/v1/changes", { parseAs: "stream" }));
if (stream === null) throw new Error("no stream");

const submitted = answered(
  await intake.POST("/v1/wishes", {
    params: { header: { "idempotency-key": setting("KEY") } },
    body: {
      kind: "appeal",
      category: "sanitation",
      area: "t3/west/g4",
      channel: "wechat",
      words: "3号楼下水道堵了，污水流到路上。",
    },
  }),
);
const story = submitted.story;
const accepted = answered(
  await dispatch.POST("/v1/cases/{story}/accept", {
    params: { path: { story }, query: { at_least: submitted.position } },
    body: {},
  }),
);

const where = { path: { story }, query: { at_least: accepted.position } };
const first = await read.GET("/v1/cases/{story}", { params: where });
const etag = first.response.headers.get("etag") ?? "";
const again = await read.GET("/v1/cases/{story}", {
  params: { ...where, header: { "if-none-match": etag } },
});

const refused = await dispatch.POST("/v1/cases/{story}/refer", {
  params: { path: { story }, query: { at_least: accepted.position } },
  body: { to: "nobody", reason: "不属于本社区。" },
});

if (refused.error?.code !== "unknown-owner") throw new Error("it was not refused");

const heard: string[] = [];
for await (const { event, data } of events<Told>(stream)) {
  if (event === "change" && "state" in data && data.story === story) {
    heard.push(data.state);
    if (data.state === "accepted") break;
  }
}

console.log(
  JSON.stringify({
    story,
    state: answered(first).state,
    statuses: [first.response.status, again.response.status],
    refused: refused.error.code,
    heard: heard.at(-1),
  }),
);
