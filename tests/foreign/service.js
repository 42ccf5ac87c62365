// A service that is not Mmate's, with amqplib: answers requests, well or badly, until SIGTERM.
//
// Usage: service.js URL QUEUE EXCHANGE KEY MODE TYPE [FIELD..]
// Declares QUEUE (exclusive), binds it to KEY of EXCHANGE, says `READY`. Each request is answered through the
// default exchange at the address found in payload.replyTo, then replyTo, then the property reply_to, with an
// envelope of the type TYPE whose payload has `success` and the named FIELDs of the request. MODE is
// `ok`; `error` (success false, with errorCode, errorMessage and error); `wrong-type` (the type is
// `SomethingElse`); `not-json`; `twice` (every answer comes twice); `silent` (no answer); `minimal` (the envelope
// has id, type, timestamp, correlationId and payload, the only AMQP property is the request's correlation_id);
// or `envelope-only` (no AMQP property at all, as the Go sibling does it).
// One line of JSON on standard output per request: body (as text), correlation_id, reply_to and type as they came.

"use strict";

const { randomUUID } = require("crypto");
const amqp = require("amqplib");

const REFUSAL = {
  success: false,
  errorCode: "DECLINED",
  errorMessage: "the card was declined",
  error: "the card was declined",
};
const COPIES = { silent: 0, twice: 2 };

function fail(error) {
  console.error(error.stack);
  process.exit(1);
}

function envelopeOf(mode, name, fields, request) {
  const asked = request.payload ?? {};
  const payload = { success: true };
  for (const field of fields) payload[field] = asked[field];
  return {
    id: randomUUID(),
    type: mode === "wrong-type" ? "SomethingElse" : name,
    timestamp: new Date().toISOString(),
    correlationId: request.correlationId,
    payload: mode === "error" ? REFUSAL : payload,
  };
}

function optionsOf(mode, envelope, asked) {
  if (mode === "envelope-only") return {};
  if (mode === "minimal") return { correlationId: asked.correlationId };
  return {
    messageId: envelope.id,
    correlationId: asked.correlationId ?? envelope.correlationId,
    type: envelope.type,
    contentType: "application/json",
    persistent: true,
    appId: "service.js",
  };
}

function answer(channel, mode, name, fields, asked, body) {
  const request = JSON.parse(body);
  const address = request.payload?.replyTo || request.replyTo || asked.replyTo;
  const envelope = envelopeOf(mode, name, fields, request);
  const reply = Buffer.from(mode === "not-json" ? "this is no JSON" : JSON.stringify(envelope));
  for (let copy = 0; copy < (COPIES[mode] ?? 1); copy++) {
    channel.sendToQueue(address, reply, optionsOf(mode, envelope, asked));
  }
}

async function main() {
  const [url, queue, exchange, key, mode, name, ...fields] = process.argv.slice(2);
  process.on("SIGTERM", () => process.exit(0));
  const connection = await amqp.connect(url);
  const channel = await connection.createChannel();
  await channel.assertExchange(exchange, "topic", { durable: true });
  await channel.assertQueue(queue, { exclusive: true });
  await channel.bindQueue(queue, exchange, key);
  await channel.consume(queue, (message) => {
    const { content, properties } = message;
    const { correlationId, replyTo, type } = properties;
    const body = content.toString();
    console.log(JSON.stringify({ body, correlation_id: correlationId, reply_to: replyTo, type }));
    answer(channel, mode, name, fields, properties, body);
    channel.ack(message);
  });
  console.log("READY");
}

main().catch(fail);
