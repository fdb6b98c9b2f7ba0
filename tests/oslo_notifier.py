"""Sends notifications with the notifier of the services; run by the Python that has oslo.messaging installed.

    .venv/oslo/bin/python tests/oslo_notifier.py < JSON

Apart from the tests that start it, since oslo.messaging brings along what must not be where the agent is.
The input is ``{"url", "exchange", "topic", "durable", "notifications": [[priority, publisher_id,
event_type, payload, context], …]}``; each is sent, or the script fails.
"""

import json
import logging
import sys
from typing import Any

import oslo_messaging
from oslo_config import cfg


def transport(url: str, exchange: str, durable: bool) -> Any:
    """Where notifications go to, as a service is configured to send them."""
    conf = cfg.ConfigOpts()
    conf([], project="notifying", default_config_files=[], default_config_dirs=[])
    oslo_messaging.set_transport_defaults(control_exchange=exchange)
    made = oslo_messaging.get_notification_transport(conf, url)
    conf.set_override("amqp_durable_queues", durable, "oslo_messaging_rabbit")
    return made


class Lost(logging.Handler):
    """Hears of notifications that could not be sent: the notifier only logs that."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Count one."""
        self.count += record.levelno >= logging.ERROR


def main() -> None:
    """Send all of the input; exit 1 when one could not be sent."""
    lost = Lost()
    logging.getLogger("oslo_messaging.notify.messaging").addHandler(lost)
    given = json.load(sys.stdin)
    bus = transport(given["url"], given["exchange"], given["durable"])
    notifier = oslo_messaging.Notifier(bus, driver="messagingv2", topics=[given["topic"]], retry=3)
    for priority, publisher, event_type, payload, context in given["notifications"]:
        getattr(notifier.prepare(publisher_id=publisher), priority)(context, event_type, payload)
    bus.cleanup()
    sys.exit(bool(lost.count))


if __name__ == "__main__":
    main()
