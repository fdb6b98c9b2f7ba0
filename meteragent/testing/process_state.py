"""What a process has but one of, and a plugin must leave as it is; apart, as a list to be added to."""

import builtins
import gc
import json
import locale
import logging
import os
import resource
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from typing import Any

SHARED = (builtins, gc, json, locale, logging, os, signal, sys, threading, time, warnings)
"""Modules whose functions nobody may replace."""
HOOKS = ("stdout", "stderr", "stdin", "excepthook", "displayhook", "unraisablehook")


def snapshot() -> dict[str, Any]:
    """By what it is called, how it is now."""
    return dict(_told())


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What is otherwise than before, in words."""
    return [
        f"{name}: {_shown(before.get(name))} before, {_shown(after.get(name))} after"
        for name in before.keys() | after.keys()
        if before.get(name) != after.get(name)
    ]


def _told() -> Iterator[tuple[str, Any]]:
    yield "working directory", os.getcwd()
    yield "umask", _umask()
    yield "locale", locale.setlocale(locale.LC_ALL)
    yield "warning filters", tuple(each for each in warnings.filters if _is_broad(each))
    yield "recursion limit", sys.getrecursionlimit()
    yield "switch interval", sys.getswitchinterval()
    yield "garbage collection", (gc.isenabled(), gc.get_threshold())
    yield "sys.path", tuple(sys.path)
    yield "nice value", os.getpriority(os.PRIO_PROCESS, 0)
    yield "limit of open files", resource.getrlimit(resource.RLIMIT_NOFILE)
    yield "threading.excepthook", threading.excepthook
    for name in HOOKS:
        yield f"sys.{name}", getattr(sys, name)
    for each in signal.valid_signals():
        yield f"handler of {getattr(each, 'name', f'signal {each}')}", signal.getsignal(each)
    yield from _logging()
    for name, value in os.environ.items():
        yield f"environment variable {name}", value
    for module in SHARED:
        for name, value in tuple(vars(module).items()):
            if callable(value):
                yield f"{module.__name__}.{name}", _Same(value)


def _is_broad(told: tuple[Any, ...]) -> bool:
    """Whether a filter is about more than what libraries set as they are imported, late as that may be."""
    _, message, category, module, line = told
    return message is None and module is None and line == 0 and category.__module__ == "builtins"


def _logging() -> Iterator[tuple[str, Any]]:
    root, own = logging.getLogger(), logging.getLogger("meteragent")
    yield "logging.disable", logging.root.manager.disable
    for name, logger in (("root logger", root), ("logger meteragent", own)):
        yield f"level of the {name}", logger.level
        yield f"handlers of the {name}", tuple(logger.handlers)


def _umask() -> str:
    """As the kernel tells it; setting it to know it would be a change."""
    with open("/proc/self/status") as status:
        return next((line.split()[1] for line in status if line.startswith("Umask:")), "")


class _Same:
    """Compares by identity: to ask a function whether it equals another may be foreign code."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._value is other._value

    def __hash__(self) -> int:
        return id(self._value)

    def __repr__(self) -> str:
        return f"{getattr(self._value, '__module__', '')}.{getattr(self._value, '__qualname__', '?')}"


def _shown(value: Any) -> str:
    try:
        return f"{value!r:.80}"
    except Exception:  # boundary: what a plugin put there is foreign code
        return f"<{type(value).__name__}>"
