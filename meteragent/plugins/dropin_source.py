"""The source of a drop-in as the catalogue knows it; importing one is another matter."""

import hashlib
import os
from pathlib import Path

import msgspec

from meteragent.errors import PluginError
from meteragent.plugins import basis, literal, reading, trace
from meteragent.plugins.basis import Basis
from meteragent.plugins.reading import Module

DIGITS = 12
"""Of the digest of a drop-in's content that are its version."""


class DropIn(msgspec.Struct, frozen=True):
    """A file in a folder of drop-ins."""

    basis: Basis
    version: str
    module: Module


def files(folder: str) -> list[str]:
    """The drop-ins in a folder; those whose name begins with _ or . are none.

    :raises OSError: when it cannot be read
    """
    return [
        os.path.join(folder, name)
        for name in sorted(os.listdir(folder))
        if name.endswith(".py") and name[0] not in "._"
    ]


def read(file: str) -> DropIn:
    """What a drop-in has in it."""
    found = basis.of([file])
    try:
        source = literal.content(Path(file), reading.LARGEST)
        module = reading.read(literal.decoded(source, file), file)
    except PluginError as error:
        source, module = b"", Module(problem=str(error))
    trace.step(f"read {file}: {module.problem or f'{len(module.plugins)} plugins'}")
    return DropIn(found, version(source), module)


def version(source: bytes) -> str:
    """What tells the contents of a drop-in from others."""
    return hashlib.sha256(source).hexdigest()[:DIGITS]
