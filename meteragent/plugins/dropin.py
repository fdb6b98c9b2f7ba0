"""Imports drop-ins, each under a private name and with an ``__import__`` that keeps the import policy."""

import builtins
import hashlib
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import meteragent
from meteragent.errors import PluginError
from meteragent.plugins import dropin_source, import_policy, literal, parameters, reading, trusted
from meteragent.plugins.parameters import Face, Parameters

PREFIX = "dropin_"
"""What the private names of their modules begin with."""


class ForbiddenImport(ImportError):
    """A drop-in imports what the policy forbids, or a parameter that is not offered."""


def load(
    file: Path,
    offers: Mapping[str, Any],
    forbidden: Mapping[str, str],
    name: str = "",
    doubt: Callable[[Path], str] | None = None,
    version: str = "",
) -> ModuleType:
    """Import a drop-in anew.

    :param offers: what it may import from ``meteragent.parameters``
    :param forbidden: modules that it may not import, with the reasons
    :param name: that of its module, since each plugin has a module, and parameters, of its own
    :param doubt: asked for a reason not to run it, ``distrust`` if it is not given
    :param version: that of its contents as it was found, if they must be the same
    :raises PluginError: when it cannot be read, or imports what it may not; all such imports are named
    """
    source = _checked(file, offers, forbidden, doubt or distrust)
    if version not in ("", dropin_source.version(source)):
        raise PluginError(f"{file}: changed since it was found; a reload makes the agent look again")
    name = name or private_name(file)
    module = ModuleType(name)
    module.__file__ = str(file)
    module.__spec__ = ModuleSpec(name, None, origin=str(file))
    own = _Import(file, offers, forbidden)
    vars(module)["__builtins__"] = {**vars(builtins), "__import__": own}
    former = sys.modules.get(name)
    sys.modules[name] = module
    try:
        exec(compile(source, str(file), "exec", dont_inherit=True), vars(module))
    except BaseException:
        sys.modules.pop(name, None)
        if former is not None:
            sys.modules[name] = former
        raise
    return module


def private_name(file: Path, of: str = "") -> str:
    """What a module made of a file is called.

    :param of: what it is made for
    """
    digest = hashlib.sha256(f"{file}\0{of}".encode(errors="surrogateescape"))
    return f"{PREFIX}{re.sub(r'[^A-Za-z0-9_]', '_', file.stem)}_{digest.hexdigest()[:12]}"


def let_go(used: Iterable[str]) -> None:
    """Forget the modules of drop-ins but those of these names; what still runs of them goes on."""
    names = {*used}
    for name in [each for each in list(sys.modules) if each.startswith(PREFIX)]:
        if name not in names:
            sys.modules.pop(name, None)


def distrust(file: Path) -> str:
    """Why a file is not to be run, as others may write to it; empty when they may not."""
    return trusted.fault(file.parent) or trusted.fault(file, known=True)


def place(error: BaseException, file: str) -> str:
    """Where in a file an exception came from, as ``file:line: ``; empty when it says so itself."""
    if isinstance(error, ForbiddenImport):
        return ""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"{file}:{line}: " if line else ""


def _checked(
    file: Path, offers: Mapping[str, Any], forbidden: Mapping[str, str], doubt: Callable[[Path], str]
) -> bytes:
    """The source, of which nothing was run yet.

    :raises PluginError: when it is not to be run
    """
    fault = doubt(file)
    if fault:
        raise PluginError(fault)
    source = literal.content(file, reading.LARGEST)
    module = reading.read(literal.decoded(source, str(file)), str(file))
    if module.problem:
        raise PluginError(module.problem)
    faults = [
        f"{file}:{each.line}: {told}"
        for each in module.imports
        if not each.guarded
        for told in _faults(each.module, each.names, offers, forbidden)
    ]
    if faults:
        raise PluginError("; ".join(faults))
    return source


def _faults(
    module: str, names: Sequence[str], offers: Mapping[str, Any], forbidden: Mapping[str, str]
) -> list[str]:
    """What is wrong with an import."""
    missing = parameters.lacking(module, names, offers)
    if missing:
        return [parameters.lacks(name, offers) for name in missing]
    denied, reason = import_policy.reason_of_names(module, tuple(names), forbidden)
    return [f"import of {denied} is forbidden by [plugins] forbidden_imports: {reason}"] if reason else []


class _Import:
    """The ``__import__`` of a drop-in."""

    def __init__(self, file: Path, offers: Mapping[str, Any], forbidden: Mapping[str, str]) -> None:
        self._file, self._offers, self._forbidden = file, offers, forbidden
        self._parameters = Parameters(offers)
        self._face = Face(self._parameters)

    def __call__(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """As Python calls it; see the documentation of ``__import__``.

        :raises ForbiddenImport: with file, line and reason
        """
        names = tuple(fromlist or ())
        faults = () if level else _faults(name, names, self._offers, self._forbidden)
        if faults:
            line = sys._getframe(1).f_lineno
            raise ForbiddenImport(f"{self._file}:{line}: {'; '.join(faults)}", name=name)
        if name == parameters.NAME:
            return self._parameters if names else self._face
        if name == parameters.PACKAGE and parameters.LAST in names:
            builtins.__import__(name, globals, locals, [each for each in names if each != parameters.LAST])
            return self._face
        module = builtins.__import__(name, globals, locals, names, level)
        return self._face if module is meteragent else module
