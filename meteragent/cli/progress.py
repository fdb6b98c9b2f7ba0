"""What a command is doing and how far it is, shown to a person at a terminal once it takes long."""

import contextlib
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress as Line

    from meteragent.cli.app import Program

PATIENCE = 1.0
"""Seconds after which it is shown."""


class Progress:
    """One line on stderr, which goes without a trace; nothing where that is no terminal, and nothing with -q.

    Life: constructed, ``tell`` any number of times from one thread, ``close`` once or more. What shows it is
    imported only when it is shown.
    """

    def __init__(self, program: "Program", doing: str) -> None:
        self._told = (doing, 0, 0)
        self._stream = program.stderr
        self._line: Line | None = None
        self._waiting = contextlib.ExitStack()
        if program.options.verbose_level >= 0 and self._stream.isatty():
            from meteragent.plugins.patience import after

            self._waiting.enter_context(after(PATIENCE, self._show))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def tell(self, what: str, done: int, total: int) -> None:
        """Tell how far it is; cheap enough for each batch or page, not for each sample.

        :param what: what is being done
        :param total: how much there is to do, in the unit of ``done``; 0 when that is not known
        """
        self._told = (what, done, total)
        if self._line is not None:
            _update(self._line, *self._told)

    def close(self) -> None:
        """Take it away."""
        self._waiting.close()
        if self._line is not None:
            with contextlib.suppress(OSError):  # the terminal is gone
                self._line.stop()
            self._line = None

    def _show(self) -> None:
        """Called in a thread of its own."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[part]}"),
            TimeRemainingColumn(),
        )  # fmt: skip
        line = Progress(*columns, console=Console(file=self._stream), transient=True)
        with contextlib.suppress(OSError):
            line.start()
        _update(line, *self._told)
        self._line = line


def _update(line: "Line", what: str, done: int, total: int) -> None:
    part = f"{100 * done // total} %" if total else f"{done:,}" if done else ""
    if line.tasks and line.tasks[0].description == what:
        line.update(line.tasks[0].id, completed=done, total=total or None, part=part)
        return
    with contextlib.suppress(OSError):
        for task in line.task_ids:
            line.remove_task(task)
        line.add_task(what, completed=done, total=total or None, part=part)
