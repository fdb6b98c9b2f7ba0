"""Which modules a drop-in may not import, and why; a guard rail against mistakes, no security boundary."""

from collections.abc import Mapping

_CRASH = "can crash the agent"
_INTERNALS = "looks into the agent's internals"
_SCHEDULER = "blocks or fights the scheduler"

FORBIDDEN: Mapping[str, str] = {
    "ctypes": _CRASH,
    "_ctypes": _CRASH,
    "cffi": _CRASH,
    "faulthandler": _CRASH,
    "gc": _INTERNALS,
    "inspect": _INTERNALS,
    "imp": "gets around this list",
    "importlib": "gets around this list",
    "importlib.metadata": "",
    "importlib.resources": "",
    "multiprocessing": _SCHEDULER,
    "concurrent": _SCHEDULER,
    "subprocess": _SCHEDULER,
    "asyncore": _SCHEDULER,
    "_posixsubprocess": _SCHEDULER,
    "socket": _SCHEDULER,
    "_socket": _SCHEDULER,
    "threading": _SCHEDULER,
    "_thread": _SCHEDULER,
    "signal": _SCHEDULER,
}
"""By module the reason, which holds for what is inside of it, too; without a reason it is allowed."""
ALL = "*"
"""Stands for all of the modules above in what a configuration says."""


def table(told: Mapping[str, str]) -> dict[str, str]:
    """The modules with reasons, where ``told`` adds some, changes some, and allows those without a reason."""
    before = {} if ALL in told else FORBIDDEN
    merged = {**before, **{module.strip(): reason.strip() for module, reason in told.items()}}
    merged.pop(ALL, None)
    return merged


def reason(module: str, forbidden: Mapping[str, str]) -> str:
    """Why a module may not be imported; empty when it may. What is told of the innermost one counts."""
    while module:
        if module in forbidden:
            return forbidden[module]
        module = module.rpartition(".")[0]
    return ""


def reason_of_names(module: str, names: tuple[str, ...], forbidden: Mapping[str, str]) -> tuple[str, str]:
    """The first module that an import may not have, and why; both empty when it may have all.

    :param names: those taken out of it, each of which may be a module in it
    """
    inner = [f"{module}.{name}" for name in names if name != "*"]
    told = [each for each in inner if each in forbidden]
    # ``from importlib import metadata`` asks for nothing but that one
    for each in told if inner and len(told) == len(inner) else [module, *told]:
        why = reason(each, forbidden)
        if why:
            return each, why
    return "", ""
