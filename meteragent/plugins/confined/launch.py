"""The program that confines a plugin: run by the agent, watches over the process that has the plugin.

    python -I launch.py LIFE WAY LABEL PATH...

LIFE and WAY are sockets that it inherits. From LIFE it reads its order; when that is closed, all ends. In
the end it writes there how the plugin's process ended. WAY is that process's own. LABEL is for who looks
at processes. PATH are the folders of modules. This process is the plugin's keeper. The next one is the
first of a process namespace, which the kernel ends with all that is in it, and the one after that has the
plugin.
"""

import contextlib
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from typing import NoReturn

sys.path += [path for path in sys.argv[4:] if path not in sys.path]

import meteragent
from meteragent.plugins.confined import confine, family, frames, kernel, room, worker
from meteragent.plugins.confined.terms import Order

_LOOK = 200
"""Milliseconds after which orphans are looked for, while anything runs."""


class Keeper:
    """Has the plugin's process started, and ends all that came of it."""

    def __init__(self, life: socket.socket, way: socket.socket, order: Order) -> None:
        self._life, self._way, self._order = life, way, order
        self._lacking: list[str] = []
        self._own_users = False
        self._parent = os.getpid()
        """The process whose end is that of the next one."""

    def keep(self) -> int:
        """Start it, and wait for its end or that of the agent; how it ended, as wait(2) has it."""
        alone = self._separate()
        if not alone:
            kernel.prctl(kernel.CHILD_SUBREAPER, 1)
        child = os.fork()
        if not child:
            kernel.prctl(kernel.PDEATHSIG, signal.SIGKILL)
            self._first() if alone else self._plugin("")
        self._way.close()
        status = self._watch(child)
        if not alone:
            family.end_children()
        return status

    def _separate(self) -> bool:
        """Make namespaces; whether there are some."""
        try:
            if self._order.terms.uid is None:
                _try(self._leave)  # where users may be separate and not be mapped, there would be no way back
            self._leave()
        except OSError as error:
            self._lacking += confine.without_namespaces(str(error.strerror))
            return False
        self._own_users = self._order.terms.uid is None
        return True

    def _leave(self) -> None:
        """Make them.

        :raises OSError: as the kernel says
        """
        terms, uid, gid = self._order.terms, os.getuid(), os.getgid()
        flags = kernel.NEW_NS | kernel.NEW_PID | kernel.NEW_IPC | (0 if terms.network else kernel.NEW_NET)
        if terms.uid is not None:
            kernel.unshare(flags)
            return
        kernel.unshare(flags | kernel.NEW_USER)
        confine.map_user(uid, gid)

    def _watch(self, child: int) -> int:
        """Wait until it ended, or end it when the agent wants no more of it."""
        process, waiting = os.pidfd_open(child), select.poll()
        waiting.register(process, select.POLLIN)
        waiting.register(self._life, select.POLLRDHUP)
        if process not in [number for number, _ in waiting.poll()]:
            os.kill(child, signal.SIGKILL)
        os.close(process)
        return os.waitpid(child, 0)[1]

    def _first(self) -> NoReturn:
        """Be the first process of its namespace: nothing in it outlives this one."""
        try:
            place = room.Room(self._reading(), self._order.terms.write_paths, self._order.hidden)
            scratch = room.SCRATCH
            try:
                place.enter()
            except OSError as error:
                self._lacking.append(f"no view of files of its own: {error.strerror}")
                scratch = ""
            else:
                self._lacking += place.furnish(self._order.terms.disk, *self._owner())
            self._parent = os.getpid()
            child = os.fork()
            if not child:
                self._plugin(scratch)
            self._way.close()
            self._rule(child)
        except BaseException as error:  # boundary: nothing of this may go on in another process
            self._give_up(error)

    def _rule(self, child: int) -> NoReturn:
        """As the first process, let all in the namespace run or stop as told, until the child ends."""
        process, waiting, running = os.pidfd_open(child), select.poll(), True
        waiting.register(process, select.POLLIN)
        waiting.register(self._life, select.POLLIN)
        while True:
            ready = [number for number, _ in waiting.poll(_LOOK if running else None)]
            if process in ready:
                say(self._life, os.waitpid(child, 0)[1])  # at once: to end all that is left may take a while
                os._exit(0)
            with contextlib.suppress(ChildProcessError):  # orphans are this one's to let go
                while _orphan(child):
                    continue
            if self._life.fileno() in ready:
                told = self._life.recv(64)
                if not told:
                    os._exit(0)
                running = told[-1:] == frames.RUN
                with contextlib.suppress(ProcessLookupError):
                    os.kill(-1, signal.SIGCONT if running else signal.SIGSTOP)

    def _owner(self) -> tuple[int, int]:
        uid, gid = self._order.terms.uid, self._order.terms.gid
        return os.getuid() if uid is None else uid, os.getgid() if gid is None else gid

    def _plugin(self, scratch: str) -> NoReturn:
        """Confine this process, then load the plugin and serve the agent.

        :param scratch: the folder of its own; none without a view of its own, as nothing would limit it there
        """
        order = self._order
        try:
            self._way = socket.socket(fileno=confine.close_all_but(self._way.detach()))
            way = worker.Connection(self._way)
            reading = self._reading()
            self._lacking += confine.be_nobody(order.terms, own_namespace=self._own_users)
            self._follow()
            os.nice(confine.KINDNESS)
            os.umask(0o077)
            os.chdir(scratch or "/")
            confine.environment(scratch or "/")
            confine.limit(order)
            self._lacking += [] if scratch else confine.exposed(order.hidden, reading)
            self._lacking += confine.be_blind(order.terms, reading, scratch)
            way.send(frames.Guards(self._lacking))
            worker.run(way, order)
        except BaseException as error:  # boundary: nothing of this may go on in another process
            self._give_up(error)
        os._exit(0)

    def _follow(self) -> None:
        """End with the one before, also if that was quicker; who becomes another user has to ask again."""
        kernel.prctl(kernel.PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self._parent:
            os._exit(1)

    def _reading(self) -> list[str]:
        order, ours = self._order, os.path.dirname(os.path.abspath(meteragent.__file__))
        given = [path for path in (*sys.path, sys.prefix, sys.base_prefix) if path not in order.wide]
        given = [path for path in (*given, ours, order.file) if os.path.isabs(path) and path != "/"]
        return [*confine.system_paths(order.terms), *given, *order.terms.read_paths]

    def _give_up(self, error: BaseException) -> NoReturn:
        """Tell why there is no plugin, and end."""
        try:
            told = f"cannot be confined: {type(error).__name__}: {error}"
            worker.Connection(self._way).send(frames.End(0, frames.Fault("PluginError", told, "plugin")))
        finally:
            os._exit(1)


def _try(step: Callable[[], None]) -> None:
    """Take a step in another process, to see whether it can be taken.

    :raises OSError: as the kernel says there
    """
    child = os.fork()
    if not child:
        try:
            step()
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    failed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if failed:
        raise OSError(failed, os.strerror(failed))


def _orphan(child: int) -> bool:
    """Let go of a process that ended, which is not the child; whether there was one."""
    found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if found is None or found.si_pid == child:
        return False
    os.waitpid(found.si_pid, 0)
    return True


def main() -> None:
    """Read the order, and keep it."""
    life, way = (socket.socket(fileno=int(number)) for number in sys.argv[1:3])
    size = int.from_bytes(frames.exactly(life, 4), "little")
    order = frames.order(frames.exactly(life, size))
    say(life, Keeper(life, way, order).keep())


def say(life: socket.socket, status: int) -> None:
    """Tell the agent how the plugin's process ended; what is told first counts."""
    try:
        life.sendall(b"%d\n" % status)
    except OSError:  # nobody is there to be told
        return


if __name__ == "__main__":
    main()
