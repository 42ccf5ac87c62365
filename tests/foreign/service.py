"""A service that is not Mmate's, with pika: answers requests, well or badly, until SIGTERM.

Usage: service.py URL QUEUE EXCHANGE KEY MODE TYPE [FIELD..]
Declares QUEUE (exclusive), binds it to KEY of EXCHANGE, says `READY`. Each request is answered through the
default exchange at the address found in payload.replyTo, then replyTo, then the property reply_to, with an
envelope of the type TYPE whose payload has `success` and the named FIELDs of the request. MODE is
`ok`; `error` (success false, with errorCode, errorMessage and error); `wrong-type` (the type is
`SomethingElse`); `not-json`; `twice` (every answer comes twice); `silent` (no answer); `minimal` (the envelope
has id, type, timestamp, correlationId and payload, the only AMQP property is the request's correlation_id);
or `envelope-only` (no AMQP property at all, as the Go sibling does it).
One line of JSON on standard output per request: body (as text), correlation_id, reply_to and type as they came.
"""

import json
import signal
import sys
import uuid
from datetime import datetime, timezone

import pika

REFUSAL = {
    "success": False,
    "errorCode": "DECLINED",
    "errorMessage": "the card was declined",
    "error": "the card was declined",
}


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def envelope_of(mode, name, fields, request):
    asked = request.get("payload", {})
    payload = {"success": True, **{field: asked.get(field) for field in fields}}
    return {
        "id": str(uuid.uuid4()),
        "type": "SomethingElse" if mode == "wrong-type" else name,
        "timestamp": datetime.now(timezone.utc).isoformat().replace("+00:00", "Z"),
        "correlationId": request.get("correlationId"),
        "payload": REFUSAL if mode == "error" else payload,
    }


def properties_of(mode, envelope, asked):
    if mode == "envelope-only":
        return pika.BasicProperties()
    if mode == "minimal":
        return pika.BasicProperties(correlation_id=asked.correlation_id)
    return pika.BasicProperties(
        message_id=envelope["id"],
        correlation_id=asked.correlation_id or envelope["correlationId"],
        type=envelope["type"],
        content_type="application/json",
        delivery_mode=2,
        app_id="service.py",
    )


def answer(channel, mode, name, fields, asked, body):
    request = json.loads(body)
    address = request.get("payload", {}).get("replyTo") or request.get("replyTo") or asked.reply_to
    envelope = envelope_of(mode, name, fields, request)
    reply = b"this is no JSON" if mode == "not-json" else json.dumps(envelope).encode()
    for _ in range({"silent": 0, "twice": 2}.get(mode, 1)):
        channel.basic_publish("", address, reply, properties_of(mode, envelope, asked))


def main():
    url, queue, exchange, key, mode, name, *fields = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.exchange_declare(exchange, "topic", durable=True)
    channel.queue_declare(queue, exclusive=True)
    channel.queue_bind(queue, exchange, key)

    def on_request(_channel, method, asked, body):
        seen = {
            "body": body.decode(),
            "correlation_id": asked.correlation_id,
            "reply_to": asked.reply_to,
            "type": asked.type,
        }
        say(json.dumps(seen))
        answer(channel, mode, name, fields, asked, body)
        channel.basic_ack(method.delivery_tag)

    channel.basic_consume(queue, on_request)
    say("READY")
    channel.start_consuming()


main()
