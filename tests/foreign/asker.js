// Asks a service with amqplib, as a sibling or a foreign client would, and prints the reply.
//
// Usage: asker.js URL EXCHANGE KEY TYPE PAYLOAD PLACE STYLE CORRELATION SECONDS
// TYPE and PAYLOAD (a JSON object) make the message, CORRELATION is `ENVELOPE,PROPERTY`: the correlation ids
// of the envelope and of the AMQP property, which is left out if empty. PLACE is where the reply address is
// written: `payload` (payload.replyTo), `envelope` (replyTo) or `property` (reply_to). STYLE is `queue`, an
// exclusive queue, or `direct`, RabbitMQ's direct reply-to; that needs the property as well, because that is
// where the broker writes the address that leads back.
// One line of JSON on standard output: body (as text), correlation_id, type and content_type of the reply.
// Ends with 1 and a line that says why after SECONDS without a reply, or when nothing is bound.

"use strict";

const { randomUUID } = require("crypto");
const amqp = require("amqplib");

const DIRECT = "amq.rabbitmq.reply-to";

function fail(why) {
  console.error(why);
  process.exit(1);
}

function encode(name, payload, place, address, correlation) {
  const [flow, own] = correlation.split(",");
  const envelope = {
    id: randomUUID(),
    type: name,
    timestamp: new Date().toISOString(),
    correlationId: flow,
    payload,
  };
  const options = {
    messageId: envelope.id,
    correlationId: own || undefined,
    type: name,
    contentType: "application/json",
    persistent: true,
    appId: "asker.js",
    mandatory: true,
  };
  if (place === "payload") payload.replyTo = address;
  if (place === "envelope") envelope.replyTo = address;
  if (place === "property" || address === DIRECT) options.replyTo = address;
  return [Buffer.from(JSON.stringify(envelope)), options];
}

async function main() {
  const [url, exchange, key, name, payload, place, style, correlation, seconds] = process.argv.slice(2);
  const connection = await amqp.connect(url);
  const channel = await connection.createConfirmChannel();
  channel.on("return", () => fail(`nothing is bound to ${key} of ${exchange}`));
  const address = style === "queue" ? (await channel.assertQueue("", { exclusive: true })).queue : DIRECT;
  let take;
  const reply = new Promise((resolve) => (take = resolve));
  // Before asking, on the same channel: direct reply-to demands it.
  await channel.consume(address, take, { noAck: true });
  const [body, options] = encode(name, JSON.parse(payload), place, address, correlation);
  channel.publish(exchange, key, body, options);
  await channel.waitForConfirms();
  setTimeout(() => fail(`no reply within ${seconds} s`), Number(seconds) * 1000).unref();
  const { content, properties } = await reply;
  const { correlationId, type, contentType } = properties;
  const line = { body: content.toString(), correlation_id: correlationId, type, content_type: contentType };
  console.log(JSON.stringify(line));
  await connection.close();
}

main().catch((error) => fail(error.stack));
