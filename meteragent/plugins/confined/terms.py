"""What a confined plugin may; plain data, as it is said in the agent and kept where it is loaded."""

import msgspec

KEPT = ("TZ", "LD_LIBRARY_PATH")
"""What a plugin's process has of the agent's environment."""


class Terms(msgspec.Struct, frozen=True):
    """The limits and grants of one plugin, as ``[isolation]`` says them."""

    uid: int | None = None
    """None where the agent runs as an ordinary user, whose own process it is then."""
    gid: int | None = None
    memory: int = 256
    """MiB beside what Python itself takes."""
    processes: int = 16
    open_files: int = 64
    disk: int = 16
    """MiB in its own folder, and of any one file."""
    network: bool = False
    read_paths: tuple[str, ...] = ()
    write_paths: tuple[str, ...] = ()
    start_timeout: float = 10.0
    """Seconds."""
    discoveries: tuple[str, ...] = ("local_host", "static")
    """Those that the agent runs because it names them as its ``default_discovery``."""


class Order(msgspec.Struct, frozen=True):
    """What a process is started with."""

    terms: Terms
    paths: tuple[str, ...]
    """Where the agent finds modules."""
    hidden: tuple[str, ...]
    """Files and folders that are none of its business wherever they lie."""
    label: str
    value: str
    """Where the plugin is, as ``package.module:attribute``."""
    file: str
    """That of a drop-in, else empty."""
    host: str
    options: dict[str, object]
    forbidden: dict[str, str] = {}
    """By module, why no drop-in may import it."""
    version: str = ""
    """Of the contents of the drop-in's file, as it was found."""
    wide: tuple[str, ...] = ()
    """Those of ``paths`` that hold more than modules, of which it may read nothing."""
