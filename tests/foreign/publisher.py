"""Publishes with pika, a client that knows nothing of Mmate, and writes down what it may believe.

Usage: publisher.py URL[,URL..] PREFIX RATE COUNT MIX
One line per message on standard output: `A id` before it is sent, `C id` when the broker has confirmed it.
`B id` says that it came back because nothing was bound. After a loss, and after a return, the same id is
sent again. Ends after COUNT messages (0: never), or on SIGTERM once the last message is confirmed.
MIX is a list like `work:ok,ask:reject`, taken in turn.
"""

import json
import random
import signal
import sys
import time
from datetime import datetime, timezone

import pika
from pika import exceptions

stopping = False
# How long an unconfirmed message is tried after the request to stop.
GIVE_UP_SECONDS = 60


def say(*words):
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


def stop(_signal, _frame):
    global stopping
    stopping = True


def address(kind, message_id):
    return {
        "work": ("mmate.commands", "cmd.soak.Work", "Work"),
        "plain": ("mmate.commands", "cmd.soak.Plain", "Plain"),
        "timed": ("mmate.commands", "cmd.soak.Timed", "Timed"),
        "ask": ("mmate.queries", "qry.Ask", "Ask"),
        "event": ("mmate.events", "evt.%s.Happened" % message_id.replace(".", "-"), "Happened"),
        "unbound": ("mmate.commands", "cmd.nobody.Nothing", "Nothing"),
    }[kind]


def encode(kind, wish, message_id):
    """Body, properties and address of a message as a sibling of the family would send it."""
    exchange, key, name = address(kind, message_id)
    payload = {"id": message_id, "wish": wish}
    if wish == "unknown":
        name = "NobodyKnowsThis"
    if wish == "schema":
        payload["wish"] = ""
    envelope = {
        "id": message_id,
        "type": name,
        "timestamp": datetime.now(timezone.utc).isoformat().replace("+00:00", "Z"),
        "correlationId": message_id,
        "payload": payload,
    }
    properties = pika.BasicProperties(
        message_id=message_id,
        correlation_id=message_id,
        type=name,
        content_type="application/json",
        delivery_mode=2,
        app_id="foreign",
    )
    if kind == "ask" or wish == "reject":
        envelope["replyTo"] = properties.reply_to = "soak.replies"
    body = "this is no JSON" if wish == "notjson" else json.dumps(envelope)
    return exchange, key, body.encode(), properties


class Publisher:
    def __init__(self, url):
        self.nodes = [pika.URLParameters(node) for node in url.split(",")]
        for parameters in self.nodes:
            parameters.heartbeat = 4
            parameters.socket_timeout = 3
            parameters.stack_timeout = 6
            parameters.blocked_connection_timeout = None
        self.channel = None

    def publish(self, kind, wish, message_id):
        exchange, key, body, properties = encode(kind, wish, message_id)
        deadline = None
        while True:
            if stopping:
                deadline = deadline or time.monotonic() + GIVE_UP_SECONDS
                if time.monotonic() > deadline:
                    return
            try:
                if self.channel is None:
                    random.shuffle(self.nodes)
                    connection = pika.BlockingConnection(self.nodes)
                    self.channel = connection.channel()
                    self.channel.confirm_delivery()
                self.channel.basic_publish(exchange, key, body, properties, mandatory=True)
                say("C", message_id)
                return
            except exceptions.UnroutableError:
                say("B", message_id)
                if kind == "unbound":
                    return
                time.sleep(0.2)
            except exceptions.NackError:
                time.sleep(0.2)
            # Some of what pika raises when a handshake times out has no common ancestor but this.
            except Exception:
                self.channel = None
                time.sleep(0.2)


def main():
    url, prefix, rate, count, mix = sys.argv[1:6]
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pause, count = 1.0 / float(rate), int(count)
    mix = [part.split(":") for part in mix.split(",")]
    publisher, number, due = Publisher(url), 0, time.monotonic()
    while not stopping and (count == 0 or number < count):
        kind, wish = mix[number % len(mix)]
        message_id = "%s.%d.%s.%s" % (prefix, number, kind, wish)
        say("A", message_id)
        publisher.publish(kind, wish, message_id)
        number += 1
        # Lost time is not made up for: a burst after an outage would be another test.
        due = max(due + pause, time.monotonic() - pause)
        time.sleep(max(0.0, due - time.monotonic()))
    say("end", str(number))


main()
