// Server-Sent Events from a fetch body: unlike EventSource, fetch can carry a token.

export interface SentEvent<Data> {
  readonly event: string;
  readonly id: string | undefined;
  readonly data: Data;
}

/** Every event that has data, as it comes; `id` is what to send back as Last-Event-ID. */
export async function* events<Data>(
  body: ReadableStream<Uint8Array>,
): AsyncGenerator<SentEvent<Data>> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  let id: string | undefined;
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      text += decoder.decode(value, { stream: true });
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const said = fields(block);
        id = said.get("id") ?? id;
        const data = said.get("data");
        if (data !== undefined) {
          yield { event: said.get("event") ?? "message", id, data: JSON.parse(data) as Data };
        }
      }
    }
  } finally {
    await reader.cancel();
  }
}

function fields(block: string): Map<string, string> {
  return new Map(
    block
      .split("\n")
      .filter((line) => !line.startsWith(":"))
      .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]),
  );
}
