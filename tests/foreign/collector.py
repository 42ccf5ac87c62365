"""Takes with pika what a service leaves behind: results, replies and dead letters.

Usage: collector.py URL[,URL..] QUEUE_TYPE DEAD_LETTER_QUEUE..
Declares `soak.out` (bound to the service's results) and `soak.replies`; the dead-letter queues are the
service's own. One line per message on standard output, written before the message is acknowledged; the
last word is 1 for a redelivery, which then may be the collector's own doing:
`D id message-id attempt redelivered`, `R id type redelivered`, `P id queue reason attempts redelivered`.
`up` and `down` tell whether it consumes; `Q queue ready` tells the depth of the queues named after `--`.
"""

import json
import random
import signal
import sys
import time

import pika
from pika import exceptions

OUT, REPLIES = "soak.out", "soak.replies"
DEPTHS_EVERY_SECONDS = 1.0


def say(*words):
    sys.stdout.write(" ".join(str(word).replace(" ", "_") for word in words) + "\n")
    sys.stdout.flush()


def parsed(body):
    try:
        envelope = json.loads(body)
        return envelope if isinstance(envelope, dict) else {}
    except ValueError:
        return {}


def on_result(channel, method, properties, body):
    payload = parsed(body).get("payload", {})
    say("D", payload.get("of", "?"), properties.message_id, payload.get("attempt", "?"), int(method.redelivered))
    channel.basic_ack(method.delivery_tag)


def on_reply(channel, method, properties, body):
    say("R", properties.correlation_id, parsed(body).get("type", "?"), int(method.redelivered))
    channel.basic_ack(method.delivery_tag)


def on_dead_letter(queue):
    def take(channel, method, properties, _body):
        headers = properties.headers or {}
        reason, attempts = headers.get("x-death-reason", "-"), headers.get("x-death-attempts", "-")
        say("P", properties.message_id, queue, reason, attempts, int(method.redelivered))
        channel.basic_ack(method.delivery_tag)

    return take


def nodes(urls):
    """The nodes of a cluster in any order, each with limits of its own."""
    every = []
    for url in urls.split(","):
        parameters = pika.URLParameters(url)
        parameters.heartbeat = 4
        parameters.socket_timeout = 3
        parameters.stack_timeout = 6
        every.append(parameters)
    random.shuffle(every)
    return every


def subscribe(connection, kind, dead_letter_queues):
    channel = connection.channel()
    channel.basic_qos(prefetch_count=200)
    channel.exchange_declare("mmate.events", "topic", durable=True)
    for queue in (OUT, REPLIES):
        channel.queue_declare(queue, durable=True, arguments={"x-queue-type": kind})
    channel.queue_bind(OUT, "mmate.events", "evt.#.Done")
    channel.basic_consume(OUT, on_result)
    channel.basic_consume(REPLIES, on_reply)
    for queue in dead_letter_queues:
        # Fails until the service has declared them; then everything is tried again.
        channel.queue_declare(queue, passive=True)
        channel.basic_consume(queue, on_dead_letter(queue))


def say_depths(connection, queues):
    for queue in queues:
        # A queue that is gone takes only this channel with it.
        channel = connection.channel()
        try:
            say("Q", queue, channel.queue_declare(queue, passive=True).method.message_count)
            channel.close()
        except exceptions.ChannelClosedByBroker:
            pass


def main():
    url, kind, rest = sys.argv[1], sys.argv[2], sys.argv[3:]
    cut = rest.index("--") if "--" in rest else len(rest)
    dead_letter_queues, watched = rest[:cut], rest[cut + 1 :]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            connection = pika.BlockingConnection(nodes(url))
            subscribe(connection, kind, dead_letter_queues)
            say("up")
            while True:
                until = time.monotonic() + DEPTHS_EVERY_SECONDS
                while time.monotonic() < until:
                    connection.process_data_events(time_limit=until - time.monotonic())
                say_depths(connection, watched)
        # Some of what pika raises when a handshake times out has no common ancestor but this.
        except Exception as error:
            say("down", type(error).__name__)
            time.sleep(0.3)


main()
