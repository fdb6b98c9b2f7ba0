"""How `meteragent run` reloads and answers: by the socket in the state folder, and by SIGHUP."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from meteragent.control.questions import answered
from meteragent.control.routes import make_routes
from meteragent.control.server import Server
from meteragent.errors import MeteragentError, Unavailable
from meteragent.plain import printable
from meteragent.plugins.reason import one_line

if TYPE_CHECKING:
    from meteragent.agent import Agent
    from meteragent.cli.app import Program

LOG = logging.getLogger(__name__)

TURN_SECONDS = 30.0
"""Time in which one reload waits for another to end."""


class Reloading:
    """Reads the configuration of this call again and hands it to the agent, one at a time.

    The files are read by the one whose turn it is, else an older text could follow a newer one.
    """

    def __init__(self, agent: "Agent", program: "Program", say: Callable[[str], None]) -> None:
        self._agent, self._program, self._say = agent, program, say
        self._turn, self._due = threading.Lock(), threading.Event()

    def __call__(self) -> list[str]:
        """What has changed, a line each; printed, too.

        :raises MeteragentError: when the agent goes on as before, or met a fault of its own; logged, too
        """
        try:
            lines = self._reload()
        except MeteragentError as error:
            self._agent.metering.count("reload.refused")
            LOG.error("reload refused, all goes on as before: %s", error)
            raise
        except Exception as error:  # boundary: a fault of ours ends no more than the reload
            self._agent.metering.count("reload.refused")
            LOG.exception("a reload was cut off by a fault of the agent; reload again, or start it again")
            raise MeteragentError(f"a fault of the agent, see its log: {one_line(error)}") from None
        self._agent.metering.count("reload.accepted")
        return lines

    def _reload(self) -> list[str]:
        if not self._turn.acquire(timeout=TURN_SECONDS):
            raise Unavailable("another reload is still under way, try again")
        try:
            self._due.clear()  # a signal from now on may tell of what is not read now
            settings = self._program.read_settings()
            lines = self._agent.reload(settings)
            self._program.set_log_level(settings)
            for line in lines:
                self._say(line)
        finally:
            self._turn.release()
        return lines

    def by_signal(self) -> None:
        """The same in a thread of its own, so that a signal that ends the agent is seen meanwhile.

        Of signals that come while one waits for its turn, nothing is made: it will read what they tell of.
        """
        if self._due.is_set():
            return
        self._due.set()
        try:
            threading.Thread(target=self._alone, name="reload", daemon=True).start()
        except RuntimeError as error:  # no more threads
            self._due.clear()
            LOG.error("reload refused, all goes on as before: %s", error)

    def _alone(self) -> None:
        with contextlib.suppress(MeteragentError):  # logged
            self()
        self._due.clear()


@contextmanager
def answering(agent: "Agent", reloading: Reloading) -> Iterator[None]:
    """Answer over the socket; an agent that cannot, as on a full disk, meters all the same."""
    folder = agent.settings.state_dir
    try:
        server = Server(folder, make_routes(agent, reloading, answered(agent.make_reader)))
        server.start()
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        LOG.warning("%s", printable(f"nothing is answered over the socket in {folder}: {reason}"))
        yield
        return
    try:
        yield
    finally:
        server.close()
