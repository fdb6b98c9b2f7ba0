"""Checks of what the agent keeps in its state folder: its files, its journal, its sinks, its quarantine."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from meteragent.clock import SECOND, iso
from meteragent.doctor.finding import Finding, Installation, Status, noted
from meteragent.errors import NotFound
from meteragent.journal import schema
from meteragent.journal.status import SinkAccount, last_ticks, read
from meteragent.journal.verify import verify
from meteragent.plain import reason_of

READ_WHOLE = 64 << 20
"""Bytes up to which a journal is checked as a whole."""
NEARLY_FULL = 0.8
PATIENCE = 60.0
"""Seconds that a batch may wait for a sink before that is remarkable."""
SKEW = 5 * SECOND
"""By how much an instant in the journal may be later than now."""


def folder(installation: Installation) -> Iterator[Finding]:
    """Whether the state folder and what lies in it are their owner's alone."""
    path = installation.folder
    try:
        found = path.stat()
    except FileNotFoundError:
        yield Finding("ok", f"{path} is not there yet", "meteragent run makes it")
        return
    except OSError as error:
        told = f"{path} cannot be used: {reason_of(error)}"
        yield Finding("fault", told, "--state-dir or [agent] state_dir names another one")
        return
    faults = [*_of_folder(path, found)]
    try:
        files = sorted(each for each in path.iterdir() if not each.is_dir())
    except PermissionError:
        files = []
    faults += [fault for file in files if (fault := _of_file(file, found.st_uid)) is not None]
    yield from faults or [Finding("ok", f"{path} belongs to user id {found.st_uid} alone")]


def _of_folder(path: Path, found: os.stat_result) -> Iterator[Finding]:
    if found.st_uid != os.geteuid():
        yield Finding(
            "warning",
            f"{path} belongs to user id {found.st_uid}, and this is {os.geteuid()}",
            "run every command as the user of the agent",
        )
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        yield Finding("fault", f"{path} cannot be used by this user", f"chmod u+rwx {path}")
    if stat.S_IMODE(found.st_mode) & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        yield Finding("warning", f"{path} is open to other users, mode {mode:04o}", f"chmod 700 {path}")


def _of_file(file: Path, owner: int) -> Finding | None:
    found = file.lstat()
    mode = stat.S_IMODE(found.st_mode)
    if stat.S_ISLNK(found.st_mode):
        return None if file.exists() else Finding("warning", f"{file} leads nowhere", f"rm {file}")
    if found.st_uid != owner:
        told = f"{file} belongs to user id {found.st_uid}, the folder to {owner}"
        return Finding("fault", told, f"chown {owner} {file}")
    if not os.access(file, os.R_OK | os.W_OK):
        return Finding("fault", f"{file} cannot be read and written by this user", f"chmod u+rw {file}")
    if mode & 0o077:
        return Finding("warning", f"{file} is open to other users, mode {mode:04o}", f"chmod 600 {file}")
    return None


def agent(installation: Installation) -> Iterator[Finding]:
    """Whether an agent runs."""
    process = installation.process
    if process is not None:
        yield Finding("ok", f"the agent runs as process {process}, for {installation.running_for:.0f} s")
        return
    last = noted(installation.folder)
    note = f"; the last was process {last}, whose note is harmless" if last is not None else ""
    yield Finding("warning", f"no agent runs in this state folder{note}", "meteragent run, or its service")


def journal(installation: Installation) -> Iterator[Finding]:
    """Whether the journal is sound, has room, and knows no time that is still to come."""
    path, options = installation.journal, installation.settings.conf.journal
    try:
        status = read(path)
    except NotFound:
        if installation.process is None:
            yield Finding("ok", "there is no journal yet", "meteragent run makes it")
        else:
            yield Finding("fault", f"{path} was removed while the agent runs", "start the agent again")
        return
    told = f"{path} holds {status.size} of {options.max_size} bytes"
    if status.size <= READ_WHOLE:
        damaged = verify(path).damaged
        if damaged:
            yield Finding(
                "fault",
                f"{path} is damaged: {len(damaged)} faults, the first: {damaged[0].reason}",
                "start the agent again: it keeps the damaged file and carries over what can be read",
            )
    else:
        told += "; it is too large to be verified here, meteragent journal verify does"
    if not status.balanced:
        yield Finding("fault", "the account does not balance", "meteragent journal status shows where")
    if status.size >= options.max_size * NEARLY_FULL:
        full = status.size >= options.max_size
        remedy = "see to the sinks that lag, below; or raise [journal] max_size"
        yield Finding("fault" if full else "warning", told, remedy)
    else:
        yield Finding("ok", told)


def ticks(installation: Installation) -> Iterator[Finding]:
    """Whether a polling source waits for a time that it has seen before the clock was set back."""
    now, later = installation.clock.wall(), 0
    for source, last in last_ticks(installation.journal).items():
        if last > now + SKEW:
            later += 1
            yield Finding(
                "fault",
                f"polling source {source} was polled for {iso(last)}, {(last - now) // SECOND} s from now",
                "set the clock right; the source waits until it has passed that instant",
            )
    if not later:
        yield Finding("ok", "no tick is in the future")


def sinks(installation: Installation) -> Iterator[Finding]:
    """Whether each sink gets on."""
    try:
        status = read(installation.journal)
    except NotFound:
        yield Finding("ok", "there is no sink yet")
        return
    now = installation.clock.wall()
    for sink in status.sinks:
        waits = 0.0 if sink.oldest is None else (now - sink.oldest) / SECOND
        yield _of_sink(sink, waits, installation)


def _of_sink(sink: SinkAccount, waits: float, installation: Installation) -> Finding:
    """What is to be said of a sink whose oldest batch waits so many seconds."""
    told = f"sink {sink.name}: {sink.delivered} delivered, {sink.pending} pending"
    if sink.pending and waits > PATIENCE:
        told += f", the oldest for {waits:.0f} s"
        if installation.process is None:
            return Finding("warning", f"{told}; no agent runs", "start the agent, which goes on from there")
        remedy = "the agent's log says why; a sink that pipeline.yaml no longer has must be put there again"
        status: Status = "fault" if sink.mode == "hold" else "warning"
        return Finding(status, told, remedy)
    if sink.detached:
        told += f", {sink.detached} lost to it since it lagged too far"
        return Finding("warning", told, "raise its max_lag, or take away what slows it")
    return Finding("ok", told)


def quarantine(installation: Installation) -> Iterator[Finding]:
    """Whether what was refused waits for a person, or fills up."""
    most = installation.settings.conf.journal.quarantine_max_size
    try:
        connection = schema.connect_reader(installation.journal)
    except NotFound:
        yield Finding("ok", "nothing is in quarantine")
        return
    try:
        with schema.explained(installation.journal):
            size = schema.read_meta(connection).quarantine_size
            entries = connection.execute("select count(*) from quarantine").get
    finally:
        connection.close()
    told = f"{entries} entries in quarantine, {size} of {most} bytes"
    remedy = "meteragent quarantine list tells why; replay or discard them"
    if size >= most * NEARLY_FULL:
        yield Finding("fault", f"{told}; a full one stops accepting", remedy)
    elif entries:
        yield Finding("warning", told, remedy)
    else:
        yield Finding("ok", "nothing is in quarantine")
