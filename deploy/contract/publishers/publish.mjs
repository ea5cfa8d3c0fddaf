// Hand in a wish and read the answer: needs `npm install @platformatic/kafka`.
//
// node publish.mjs KAFKA PARTNER SOURCE < wish.json
import { createHash, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { Consumer, Producer, stringDeserializers, stringSerializers } from "@platformatic/kafka";

const [kafka, partner, source] = process.argv.slice(2);
const env = process.env;
const prefix = env.WISHGRID_TOPIC_PREFIX ?? "";
const topic = (way) => `${prefix}wishgrid.${way}.${partner}.v1`;
const config = { clientId: partner, bootstrapBrokers: kafka.split(",") };
if (env.WISHGRID_KAFKA_USER) {
  const [username, password] = [env.WISHGRID_KAFKA_USER, env.WISHGRID_KAFKA_PASSWORD];
  config.sasl = { mechanism: "SCRAM-SHA-512", username, password };
  if ((env.WISHGRID_KAFKA_PROTOCOL ?? "SASL_SSL") === "SASL_SSL") config.tls = {};
}

const wish = readFileSync(0, "utf8");
const event = createHash("sha256").update(wish).digest("hex"); // the same wish again is the same event
const headers = {
  ce_specversion: "1.0",
  ce_id: event,
  ce_source: source,
  ce_type: "wishgrid.wish-submitted.v1",
};
const key = JSON.parse(wish).ref; // order is promised for one key
const producer = new Producer({ ...config, serializers: stringSerializers, autocreateTopics: false });
await producer.send({ acks: -1, messages: [{ topic: topic("inbound"), key, value: wish, headers }] });
await producer.close();

setTimeout(() => {
  console.error("not answered in time: send the same again");
  process.exit(1);
}, 1000 * Number(env.WISHGRID_ANSWER_SECONDS ?? 30));
const reader = new Consumer({
  ...config,
  groupId: `${prefix}partner.${partner}.${randomUUID()}`,
  deserializers: stringDeserializers,
});
const answers = await reader.consume({ topics: [topic("answers")], mode: "earliest", autocommit: false });
for await (const answer of answers) {
  if (answer.key !== event) continue; // its key is the event that it answers
  console.log(answer.value);
  await reader.close(true);
  process.exit(JSON.parse(answer.value).said === "accepted" ? 0 : 1);
}
