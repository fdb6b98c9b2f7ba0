"""`meteragent run`: the agent in the foreground, until a signal or a time ends it."""

import argparse
import logging
import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from meteragent.cli.arguments import seconds
from meteragent.cli.command import Command

if TYPE_CHECKING:
    from meteragent.agent import Agent

LOG = logging.getLogger(__name__)

FIRST_ACCOUNT = 10.0
"""Seconds to the first line of account; each further pause is twice as long, up to the interval."""
ENDING = frozenset((signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
"""Signals that end the agent; SIGHUP comes when the terminal is closed."""


class Run(Command):
    """Run the agent in the foreground; Ctrl-C or SIGTERM ends it."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--stop-after", metavar="SECONDS", type=seconds, help="end by itself after so many seconds"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Start it, print its account now and then, stop it."""
        from meteragent.agent import Agent

        end = None if parsed_args.stop_after is None else time.monotonic() + parsed_args.stop_after
        with _signals() as signalled:
            settings = self.settings()
            agent = Agent(settings)
            agent.start()
            try:
                self._say(agent.greeting())
                self._watch(agent, signalled, settings.conf.agent.account_interval, end)
            finally:
                for number in ENDING:
                    _leave(number)
                agent.stop()
        return 0

    def _watch(self, agent: "Agent", signalled: int, interval: float, end: float | None) -> None:
        """Print lines of account until a signal comes or the end is reached."""
        pause = min(FIRST_ACCOUNT, interval)
        due = time.monotonic() + pause
        while True:
            until = due if end is None else min(due, end)
            if select.select([signalled], [], [], max(until - time.monotonic(), 0.0))[0]:
                # a plugin may handle signals of its own, and they come here, too
                if not ENDING.isdisjoint(os.read(signalled, 256)):
                    return
                continue
            if end is not None and time.monotonic() >= end:
                return
            pause = min(2 * pause, interval)
            due = time.monotonic() + pause
            self._say(agent.account_line())

    def _say(self, text: str) -> None:
        """Print it; that nobody can read it, as on a full disk, is no reason to stop metering."""
        try:
            self.app.stdout.write(f"{text}\n")
            self.app.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            LOG.debug("cannot print: %s", error)


@contextmanager
def _signals() -> Iterator[int]:
    """A descriptor from which the number of a signal can be read once it came.

    Unlike a lock, it is seen however shortly before the wait the signal comes, and in whichever thread.
    """
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    former = {number: signal.getsignal(number) for number in ENDING}
    for number in ENDING:
        if number != signal.SIGHUP or former[number] != signal.SIG_IGN:  # as nohup wants it
            signal.signal(number, _leave)
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in former.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


def _leave(number: int, frame: object = None) -> None:
    """The descriptor tells of this one; a second one ends the process at once.

    The journal takes that as it takes a crash. It is the way out, too, while a plugin hangs at its import.
    """
    del frame
    if signal.getsignal(number) == _leave:
        signal.signal(number, signal.SIG_DFL)
