"""`meteragent notification send`: puts notifications, or a sample, on a message bus."""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from meteragent.cli.arguments import moment, name
from meteragent.cli.bus import add_url, chosen
from meteragent.cli.command import Lister
from meteragent.cli.notification import opened
from meteragent.errors import ConfigError, Rejected

if TYPE_CHECKING:
    from meteragent.config import Settings

EXCHANGE, TOPIC = "ceilometer", "notifications"
_OF_SAMPLE = ("resource", "type", "project", "user", "timestamp", "metadata")


class _Ready(NamedTuple):
    """A notification that can be sent."""

    line: int | None
    message_id: str
    event_type: str
    priority: str
    body: bytes


class NotificationSend(Lister):
    """Put notifications, or one sample, on a message bus, and show what its broker confirmed.

    Each line of the input is a notification as JSON: bare or in an envelope, or as a listener delivers
    it. What it lacks of message_id, timestamp, publisher_id and priority is filled in. Nothing is sent
    when one is no good.
    """

    columns = ("line", "message_id", "event_type", "routing_key")
    doing = "sending"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it."""
        from meteragent.notifications.base import PRIORITIES

        parser = super().get_parser(prog_name)
        add = parser.add_argument
        add_url(parser)
        add("--exchange", metavar="NAME", type=name, default=EXCHANGE,
            help=f"to which exchange; default: {EXCHANGE}")  # fmt: skip
        add("--topic", metavar="NAME", type=name, default=TOPIC,
            help=f"the routing key is <topic>.<priority>; default: {TOPIC}")  # fmt: skip
        add("--priority", choices=PRIORITIES, default="info",
            help="of notifications that tell none; default: info")  # fmt: skip
        add("--sample", metavar="METER=VOLUME[,UNIT]", help="instead of notifications, this sample, signed")
        add("--resource", metavar="ID", help="of the sample; required with --sample")
        add("--type", choices=("cumulative", "delta", "gauge"), help="of the sample; default: gauge")
        add("--project", metavar="ID", help="of the sample")
        add("--user", metavar="ID", help="of the sample")
        add("--timestamp", metavar="TIME", type=moment, help="of the sample; default: now")
        add("--metadata", metavar="KEY=VALUE", action="append", help="of the sample; may be repeated")
        add("file", metavar="FILE", nargs="?", help="lines of JSON; -, or nothing, for standard input")
        return parser

    def check(self, parsed_args: argparse.Namespace) -> None:
        """See that a sample, or notifications, are meant."""
        if parsed_args.sample is None:
            given = [option for option in _OF_SAMPLE if getattr(parsed_args, option) is not None]
            if given:
                self.parser.error(f"--{given[0]} belongs to a sample; give --sample METER=VOLUME, too")
        elif parsed_args.file is not None:
            self.parser.error("--sample and a FILE do not go together")
        elif not parsed_args.resource:
            self.parser.error("--sample needs --resource ID")

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """Read all, then send all."""
        from meteragent.publishers.notifier.link import Outgoing
        from meteragent.publishers.notifier.sender import Sender

        settings = self.settings()
        url, tls = chosen(settings, parsed_args)
        ready = list((_lines if parsed_args.sample is None else _sample)(settings, parsed_args))
        outgoing = [Outgoing(f"{parsed_args.topic}.{each.priority}", each.body) for each in ready]
        sender = Sender(url, parsed_args.exchange, tls=tls, name="meteragent send")
        try:
            sender.send(outgoing)
        finally:
            sender.close()
        return self.columns, [
            (each.line, each.message_id, each.event_type, sent.routing_key)
            for each, sent in zip(ready, outgoing, strict=True)
        ]


def _lines(settings: "Settings", args: argparse.Namespace) -> Iterator[_Ready]:
    """The notifications of the input.

    :raises ConfigError: naming the line that is none
    """
    with opened(args.file or "-") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    yield _completed(number, line, args.priority, f"meteragent.{settings.host}")
                except Rejected as error:
                    raise ConfigError(f"line {number}: {error}; nothing is sent") from None


def _completed(number: int | None, line: bytes, priority: str, publisher_id: str) -> _Ready:
    """A notification with all that it needs, in an envelope.

    :raises Rejected: when it is none
    """
    import uuid

    import msgspec

    from meteragent.clock import Clock
    from meteragent.notification_message import enveloped, timestamp
    from meteragent.notifications.envelope import unpack

    message = _bare(_mapping(line))
    lacking = {
        "message_id": str(uuid.uuid4()),
        "publisher_id": publisher_id,
        "timestamp": timestamp(Clock().wall()),
        "priority": priority.upper(),
    }
    message |= {key: value for key, value in lacking.items() if message.get(key) in (None, "")}
    body = enveloped(msgspec.json.encode(message))
    found = unpack(body, None, None, None)
    return _Ready(number, str(found.metadata["message_id"]), found.event_type, found.priority, body)


def _mapping(text: bytes | str) -> dict[str, Any]:
    import msgspec

    from meteragent.documents import shown

    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Rejected(f"not JSON: {error}") from None
    if not isinstance(found, dict):
        raise Rejected(f"{shown(found)} is no mapping")
    return found


def _bare(message: dict[str, Any]) -> dict[str, Any]:
    """The message without its envelope, and as services send it."""
    inside = message.get("oslo.message")
    if isinstance(inside, str):
        return _mapping(inside)
    metadata, context = message.get("metadata"), message.get("ctxt")
    if not isinstance(metadata, dict) or "message_id" in message:
        return message
    told = {key: value for key, value in message.items() if key not in ("metadata", "ctxt")}
    told |= {key: metadata[key] for key in ("message_id", "timestamp") if metadata.get(key) is not None}
    if isinstance(context, dict):
        told |= {f"_context_{key}": value for key, value in context.items()}
    return told


def _sample(settings: "Settings", args: argparse.Namespace) -> Iterator[_Ready]:
    """The notification of one sample, as a poll of another agent.

    :raises ConfigError: when it is no sample
    """
    import uuid

    import msgspec

    from meteragent.clock import Clock
    from meteragent.meter_message import meter_message
    from meteragent.sample import Sample, accepted

    meter, equals, rest = args.sample.partition("=")
    volume, _, unit = rest.partition(",")
    pairs = [each.partition("=") for each in args.metadata or ()]
    wrong = next((key for key, between, _ in pairs if not between), None)
    if not equals or wrong is not None:
        told = f"--sample {args.sample!r:.80}" if not equals else f"--metadata {wrong!r:.80}"
        raise ConfigError(f"{told} has no =; allowed: {'METER=VOLUME[,UNIT]' if not equals else 'KEY=VALUE'}")
    at = Clock().wall() if args.timestamp is None else args.timestamp
    try:
        sample = accepted(
            Sample(
                meter, args.type or "gauge", unit, volume,
                args.user, args.project, args.resource, at, {key: value for key, _, value in pairs},
            ), at, settings.conf.sample_source,
        )  # fmt: skip
        own = msgspec.structs.replace(sample, id=str(uuid.uuid4()))
        message = meter_message(own, settings.conf.publisher.telemetry_secret)
        told_of = {"event_type": "telemetry.polling", "payload": {"samples": [message]}}
        line = msgspec.json.encode(told_of)
        yield _completed(None, line, "sample", f"meteragent.{settings.host}")
    except (Rejected, ValueError) as error:
        raise ConfigError(f"--sample: {error}") from None
