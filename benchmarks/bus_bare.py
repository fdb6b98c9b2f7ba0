"""The least that a consumer can do, to measure the agent against: decodes, acknowledges, keeps nothing.

python -m benchmarks.bus_bare URL COUNT
"""

import json
import sys
import time

import msgspec
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.message import Message
from kombu.messaging import Consumer

from benchmarks.bus_publisher import QUEUE

PREFETCH, BATCH = 1_000, 500


def consume(url: str, count: int, queue: str = QUEUE) -> dict[str, float]:
    """Take so many messages off a queue; how long it took from the first to the last, and its CPU."""
    decode = msgspec.json.decode
    seen, began, cpu = 0, 0.0, 0.0

    def take(message: Message) -> None:
        nonlocal seen, began, cpu
        if not seen:
            began, cpu = time.monotonic(), time.process_time()
        decode(decode(message.body)["oslo.message"])
        seen += 1
        if seen % BATCH == 0 or seen == count:
            message.ack(multiple=True)

    with Connection(url) as connection:
        channel = connection.channel()
        channel.basic_qos(0, PREFETCH, False)
        named = Queue(queue, durable=True, auto_delete=False, no_declare=True)
        with Consumer(channel, [named], on_message=take, accept=None, auto_declare=False):
            while seen < count:
                connection.drain_events(timeout=30)
    seconds = time.monotonic() - began
    used = time.process_time() - cpu
    return {"messages": count, "seconds": seconds, "rate": count / seconds, "cpu_us": used / count * 1e6}


def main() -> None:
    """Print the figures as a line of JSON."""
    print(json.dumps(consume(sys.argv[1], int(sys.argv[2]))))


if __name__ == "__main__":
    main()
