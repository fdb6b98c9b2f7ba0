"""What the configuration grants to confined plugins; apart from confining them, so that it can be checked."""

import os
import pwd
from typing import Any

from oslo_config import cfg

from meteragent.errors import ConfigError
from meteragent.plugins.confined.terms import Terms

GROUP = "isolation"
OPTS = [
    cfg.StrOpt(
        "user",
        help="Name or number of the user that plugins in processes of their own run as; one that owns "
        "nothing and can do nothing else. An agent that runs as root needs it and confines no plugin without "
        "it. Any other agent cannot become somebody else and runs them as its own user.",
    ),
    cfg.IntOpt(
        "memory",
        default=256,
        min=16,
        max=1 << 20,
        help="MiB of memory that each process of a plugin may take beside what Python itself takes.",
    ),
    cfg.IntOpt(
        "processes",
        default=16,
        min=1,
        max=10_000,
        help="Processes and threads that a plugin may have at once.",
    ),
    cfg.IntOpt(
        "open_files", default=64, min=16, max=1 << 20, help="Files that each process may have open at once."
    ),
    cfg.IntOpt(
        "disk",
        default=16,
        min=1,
        max=1 << 20,
        help="MiB that a plugin may write into its own folder, which is empty at first and gone with its "
        "process, and that any file it writes may have.",
    ),
    cfg.BoolOpt(
        "network", default=False, help="Whether plugins in processes of their own reach the network."
    ),
    cfg.ListOpt(
        "read_paths",
        default=[],
        help="Absolute paths of files and folders that they may read, separated by commas, beside Python, "
        "the folders of its modules and the libraries of the system, e.g. /sys.",
    ),
    cfg.ListOpt(
        "write_paths",
        default=[],
        help="Absolute paths of files and folders that they may read and write, separated by commas.",
    ),
    cfg.FloatOpt(
        "start_timeout",
        default=10.0,
        min=0.1,
        max=600.0,
        help="Seconds in which such a process is to be started and its plugin loaded.",
    ),
    cfg.ListOpt(
        "discoveries",
        default=["local_host", "static"],
        help="Names of the discoveries that such a plugin may have the agent run, as its default_discovery; "
        "a polling source may name any.",
    ),
]
"""Options of the group ``isolation``."""


def terms(conf: Any) -> Terms:
    """What all confined plugins may.

    :raises ConfigError: when there is no user for them, or a path is not absolute
    """
    told = conf[GROUP]
    for name in ("read_paths", "write_paths"):
        odd = next((path for path in told[name] if not os.path.isabs(path)), None)
        if odd is not None:
            raise ConfigError(f"[isolation] {name}: {odd!r} is no absolute path")
    uid, gid = _user(told.user)
    return Terms(
        uid, gid, told.memory, told.processes, told.open_files, told.disk, told.network,
        tuple(told.read_paths), tuple(told.write_paths), told.start_timeout, tuple(told.discoveries),
    )  # fmt: skip


def said(conf: Any) -> tuple[Any, ...]:
    """All that the options say, to be compared."""
    return tuple(repr(conf[GROUP][opt.dest]) for opt in OPTS)


def _user(name: str | None) -> tuple[int | None, int | None]:
    """Number of the user and of its group; None of both where the agent cannot become somebody else."""
    if os.geteuid() != 0:
        return None, None
    if not name:
        raise ConfigError(
            "[isolation] user: an agent that runs as root needs an unprivileged one for plugins in processes "
            "of their own; none is named"
        )
    try:
        found = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except (KeyError, OverflowError):
        raise ConfigError(f"[isolation] user: {name!r} is not known on this machine") from None
    if not found.pw_uid or not found.pw_gid:
        raise ConfigError(
            f"[isolation] user: {name!r} is root, or of its group; allowed is an unprivileged one"
        )
    return found.pw_uid, found.pw_gid
