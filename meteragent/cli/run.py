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
                # A second signal ends the process at once; the journal takes that as it takes a crash.
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                agent.stop()
        return 0

    def _watch(self, agent: "Agent", signalled: int, interval: float, end: float | None) -> None:
        """Print lines of account until a signal comes or the end is reached."""
        while True:
            left = interval if end is None else min(interval, end - time.monotonic())
            if select.select([signalled], [], [], max(left, 0.0))[0]:
                return
            if end is not None and time.monotonic() >= end:
                return
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
    """A descriptor that is readable once SIGINT or SIGTERM came.

    Unlike a lock, it is seen however shortly before the wait the signal comes, and in whichever thread.
    """
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    former = {number: signal.signal(number, _leave) for number in (signal.SIGINT, signal.SIGTERM)}
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in former.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


def _leave(number: int, frame: object) -> None:
    """Nothing to do: the descriptor tells."""
    del number, frame
