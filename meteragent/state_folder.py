"""The state folder: where it is, made for its user alone, held by one agent; apart, as it is no option."""

import fcntl
import logging
import os
from pathlib import Path

from meteragent.errors import ConfigError
from meteragent.plain import reason_of

LOG = logging.getLogger(__name__)

JOURNAL = "journal.db"
"""The journal's file."""
RESTORING = "journal.db.restoring"
"""The journal out of a backup, until it and the store are both in their places."""
SOCKET = "agent.sock"
"""What a running agent is asked through."""
LOCK = "agent.lock"
"""File that names the process that has the folder."""
_ADVICE = "--state-dir or [agent] state_dir names another one"


def default(name: str) -> Path:
    """Where it is when nothing says so.

    :raises ConfigError: when this user has no home folder
    """
    if os.geteuid() == 0:
        return Path("/var/lib", name)
    base = Path(os.environ.get("XDG_STATE_HOME", ""))
    if not base.is_absolute():
        base = Path(os.path.expanduser("~/.local/state"))
    if not base.is_absolute():
        raise ConfigError(
            "no home folder is known to keep state in; --state-dir or [agent] state_dir names one"
        )
    return checked(str(base / name))


def checked(text: str) -> Path:
    """The folder that a text means, absolute; it need not exist.

    :raises ConfigError: when it cannot be a folder
    """
    path = Path(absolute(text))
    if not text:
        fault = "names no folder"
    elif text[0] == "~" and os.path.expanduser(text) == text:
        fault = f"there is no user {text[1:].partition('/')[0]!r}"
    elif any("\ud800" <= letter <= "\udfff" for letter in str(path)):
        fault = "is no UTF-8 text"
    elif "\0" in text:
        fault = "has a NUL in it"
    elif path.exists() and not path.is_dir():
        fault = "is no folder"
    elif not (above := next(each for each in (path, *path.parents) if each.exists())).is_dir():
        fault = f"{above} is no folder"
    else:
        return path
    raise ConfigError(f"state folder {text[:200]!r}: {fault}; {_ADVICE}")


def absolute(text: str) -> str:
    """A path as it is seen from anywhere.

    :raises ConfigError: when the folder that it is relative to was removed
    """
    try:
        return os.path.abspath(os.path.expanduser(text))
    except FileNotFoundError:
        raise ConfigError(f"{text[:200]!r} is below the current folder, which was removed") from None


def make(path: Path) -> Path:
    """Make it, for this user alone, where it is missing.

    :raises ConfigError: when it cannot be made
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner, user = path.stat().st_uid, os.geteuid()
    except OSError as error:
        fault = reason_of(error)
        raise ConfigError(f"state folder {str(path)!r}: {fault}; {_ADVICE}") from None
    if owner != user:
        LOG.warning(
            "state folder %s belongs to user id %d, and the agent runs as %d: what it makes there, the other "
            "may not be able to use", path, owner, user,
        )  # fmt: skip
    return path


def lock(path: Path) -> int:
    """Take it for this process alone, until the descriptor that comes back is closed.

    The folder itself is locked: a file in it may be removed, and another one locked then.

    :raises ConfigError: when another agent has it
    """
    try:
        # no link: what it leads to would be overwritten
        note = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"{error.filename}: {reason_of(error)}; {_ADVICE}") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(note, 0)
        os.pwrite(note, f"{os.getpid()}\n".encode(), 0)
    except BlockingIOError:
        holder = os.pread(note, 32, 0).decode(errors="replace").strip()
        os.close(folder)
        raise ConfigError(
            f"state folder {path} is in use by process {holder or 'unknown'}; "
            "one agent has it at a time, --state-dir names another one"
        ) from None
    except OSError as error:  # the disk is full; the lock holds all the same
        LOG.debug("%s: %s", LOCK, error)
    finally:
        os.close(note)
    return folder


def check_restored(path: Path) -> None:
    """See that no restore into it was cut off: its store may be of the backup, its journal may not.

    :raises ConfigError: when one was
    """
    if (path / RESTORING).exists():
        raise ConfigError(
            f"state folder {path}: a restore into it was cut off; run `meteragent restore --replace` again"
        )
