"""`meteragent run`: the agent in the foreground, until a signal or a time ends it."""

import argparse
import logging
import os
import select
import signal
import time
from contextlib import closing
from typing import TYPE_CHECKING

from meteragent.cli.app import print_nowhere
from meteragent.cli.arguments import seconds
from meteragent.cli.command import Command

if TYPE_CHECKING:
    from meteragent.agent import Agent
    from meteragent.cli.answering import Reloading

LOG = logging.getLogger(__name__)

FIRST_ACCOUNT = 10.0
"""Seconds to the first line of account; each further pause is twice as long, up to the interval."""
ENDING = frozenset((signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
"""Signals that end the agent; SIGHUP, which comes when the terminal is closed, only where there is one: else
it has the agent reload."""


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
        from meteragent.cli.answering import Reloading, answering

        end = None if parsed_args.stop_after is None else time.monotonic() + parsed_args.stop_after
        with closing(_Signals()) as signals:
            settings = self.settings()
            agent = Agent(settings)
            agent.start()
            signals.take()  # a plugin may have handlers of its own
            try:
                self._say(agent.greeting())
                reloading = Reloading(agent, self.program, self._say)
                with answering(agent, reloading):
                    self._watch(agent, signals, reloading, end)
            finally:
                for number in ENDING:
                    _leave(number)
                agent.stop()
        return 0

    def _watch(self, agent: "Agent", signals: "_Signals", reloading: "Reloading", end: float | None) -> None:
        """Print lines of account until a signal comes or the end is reached."""
        pause = min(FIRST_ACCOUNT, agent.settings.conf.agent.account_interval)
        due = time.monotonic() + pause
        while True:
            until = due if end is None else min(due, end)
            if select.select([signals.came], [], [], max(until - time.monotonic(), 0.0))[0]:
                # a plugin may handle other signals, and they come here, too
                came = os.read(signals.came, 256)
                if not signals.ending.isdisjoint(came):
                    return
                if signal.SIGHUP in came:
                    reloading.by_signal()
                continue
            if end is not None and time.monotonic() >= end:
                return
            pause = min(2 * pause, agent.settings.conf.agent.account_interval)
            due = time.monotonic() + pause
            self._say(agent.account_line())

    def _say(self, text: str) -> None:
        """Print it; that nobody can read it, as on a full disk, is no reason to stop metering."""
        try:
            self.app.stdout.write(f"{text}\n")
            self.app.stdout.flush()
        except BrokenPipeError:
            print_nowhere()
            LOG.warning("nobody reads what is printed any more; metering goes on, Ctrl-C or SIGTERM ends it")
        except OSError as error:
            LOG.debug("cannot print: %s", error)


class _Signals:
    """The signals that end the agent or have it reload, from now on until they are given back."""

    def __init__(self) -> None:
        terminal = os.isatty(0) or os.isatty(1)
        self.ending = ENDING if terminal else ENDING - {signal.SIGHUP}
        self.came, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        """A descriptor from which the number of a signal can be read once it came.

        Unlike a lock, it is seen however shortly before the wait the signal comes, and in whichever thread.
        """
        self._former = {number: signal.getsignal(number) for number in ENDING}
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self.take()

    def take(self) -> None:
        """Take them, also from foreign code that took them for itself."""
        for number in ENDING:
            if number != signal.SIGHUP or self._former[number] != signal.SIG_IGN:  # as nohup wants it
                signal.signal(number, _leave if number in self.ending else _stay)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)

    def close(self) -> None:
        """Give them back."""
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._former.items():
            signal.signal(number, handler)
        os.close(self.came)
        os.close(self._writer)


def _stay(number: int, frame: object = None) -> None:
    """The descriptor tells of this one."""
    del number, frame


def _leave(number: int, frame: object = None) -> None:
    """The descriptor tells of this one; a second one ends the process at once.

    The journal takes that as it takes a crash. It is the way out, too, while a plugin hangs at its import.
    """
    del frame
    if signal.getsignal(number) == _leave:
        signal.signal(number, signal.SIG_DFL)
