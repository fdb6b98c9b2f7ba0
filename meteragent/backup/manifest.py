"""What a backup is made of; apart, as who makes one and who restores one both go by it."""

import hashlib
import re
from pathlib import Path

import msgspec

from meteragent.errors import ConfigError, NotFound, Unavailable
from meteragent.plain import reason_of
from meteragent.progress import Tell
from meteragent.typed import known

NAME = "backup.json"
JOURNAL = "journal.db"
FORMAT = 1
_SIZE = 1 << 20


class File(msgspec.Struct, frozen=True):
    """A file of a backup."""

    size: int
    digest: str
    """blake2b of 32 bytes, in hexadecimal digits."""


class Manifest(msgspec.Struct, frozen=True):
    """Whose backup it is, of when, and its files by name."""

    format: int
    version: str
    host: str
    agent: str
    epoch: str
    sequence: int
    """Of the newest batch in the journal."""
    taken: str
    """ISO 8601."""
    store: str
    """Scheme of the store's URL."""
    files: dict[str, File]


class _Format(msgspec.Struct, frozen=True):
    format: int


known(_Format, Manifest)


def described(path: Path, tell: Tell) -> File:
    """A file as it is.

    :raises OSError: when it cannot be read
    """
    digest, done, total = hashlib.blake2b(digest_size=32), 0, path.stat().st_size
    with path.open("rb", buffering=0) as file:
        while part := file.read(_SIZE):
            digest.update(part)
            done += len(part)
            tell(f"checking {path.name}", done, total)
    return File(done, digest.hexdigest())


def read(folder: Path) -> Manifest:
    """The manifest of a backup.

    :raises NotFound: when there is none
    :raises ConfigError: when it is of a newer format, or damaged
    :raises Unavailable: when it cannot be read
    """
    path = folder / NAME
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(
            f"{folder}: is no backup, or only half of one: there is no {NAME} in it; name the folder that"
            " meteragent backup was given"
        ) from None
    except OSError as error:
        raise Unavailable(f"{path}: {reason_of(error)}") from None
    try:
        told = msgspec.json.decode(text, type=_Format).format
        if told > FORMAT:
            raise ConfigError(
                f"backup format {told} is newer than {FORMAT}, the newest known here; use the version of"
                " meteragent that wrote it",
                file=str(path),
            )
        manifest = msgspec.json.decode(text, type=Manifest)
    except msgspec.DecodeError as error:
        raise ConfigError(f"is damaged: {error}", file=str(path)) from None
    odd = [name for name in manifest.files if not re.fullmatch(r"journal\.db|samples\.\w+", name)]
    if odd or JOURNAL not in manifest.files:
        raise ConfigError(f"is damaged: its files are {sorted(manifest.files)}", file=str(path))
    return manifest


def check(manifest: Manifest, folder: Path, tell: Tell) -> None:
    """See that every file is as it was written.

    :raises ConfigError: naming the first that is not
    """
    for name, file in manifest.files.items():
        path = folder / name
        try:
            found = described(path, tell)
        except OSError as error:
            fault = reason_of(error)
        else:
            if found == file:
                continue
            fault = f"it differs from its digest in {NAME}"
            if found.size != file.size:
                fault = f"{found.size} bytes, there were {file.size}"
        raise ConfigError(f"{path}: the backup is damaged: {fault}; restore another one")
