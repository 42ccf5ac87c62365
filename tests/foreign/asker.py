"""Asks a service with pika, as a sibling or a foreign client would, and prints the reply.

Usage: asker.py URL EXCHANGE KEY TYPE PAYLOAD PLACE STYLE CORRELATION SECONDS
TYPE and PAYLOAD (a JSON object) make the message, CORRELATION is `ENVELOPE,PROPERTY`: the correlation ids
of the envelope and of the AMQP property, which is left out if empty. PLACE is where the reply address is
written: `payload` (payload.replyTo), `envelope` (replyTo) or `property` (reply_to). STYLE is `queue`, an
exclusive queue, or `direct`, RabbitMQ's direct reply-to; that needs the property as well, because that is
where the broker writes the address that leads back.
One line of JSON on standard output: body (as text), correlation_id, type and content_type of the reply.
Ends with 1 and a line that says why after SECONDS without a reply, or when nothing is bound.
"""

import json
import sys
import time
import uuid
from datetime import datetime, timezone

import pika
from pika import exceptions

DIRECT = "amq.rabbitmq.reply-to"


def encode(name, payload, place, address, correlation):
    flow, own = correlation.split(",")
    envelope = {
        "id": str(uuid.uuid4()),
        "type": name,
        "timestamp": datetime.now(timezone.utc).isoformat().replace("+00:00", "Z"),
        "correlationId": flow,
        "payload": payload,
    }
    properties = pika.BasicProperties(
        message_id=envelope["id"],
        correlation_id=own or None,
        type=name,
        content_type="application/json",
        delivery_mode=2,
        app_id="asker.py",
    )
    if place == "payload":
        payload["replyTo"] = address
    if place == "envelope":
        envelope["replyTo"] = address
    if place == "property" or address == DIRECT:
        properties.reply_to = address
    return json.dumps(envelope).encode(), properties


def main():
    url, exchange, key, name, payload, place, style, correlation, seconds = sys.argv[1:10]
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    address = DIRECT
    if style == "queue":
        address = channel.queue_declare("", exclusive=True).method.queue
    replies = []
    # Before asking, on the same channel: direct reply-to demands it.
    channel.basic_consume(address, lambda _channel, _method, *reply: replies.append(reply), auto_ack=True)
    channel.confirm_delivery()
    body, properties = encode(name, json.loads(payload), place, address, correlation)
    try:
        channel.basic_publish(exchange, key, body, properties, mandatory=True)
    except exceptions.UnroutableError:
        sys.exit("nothing is bound to %s of %s" % (key, exchange))
    deadline = time.monotonic() + float(seconds)
    while not replies:
        left = deadline - time.monotonic()
        if left <= 0:
            sys.exit("no reply within %s s" % seconds)
        connection.process_data_events(time_limit=left)
    got, body = replies[0]
    reply = {
        "body": body.decode(),
        "correlation_id": got.correlation_id,
        "type": got.type,
        "content_type": got.content_type,
    }
    print(json.dumps(reply))
    connection.close()


main()
