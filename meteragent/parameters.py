"""What a drop-in may import to be told of its surroundings; each is given a module like this of its own.

A plugin of an installed package gets the same by naming it as an argument of its constructor.
"""

import logging
from pathlib import Path
from typing import Any, NoReturn

from oslo_config import cfg

conf: cfg.ConfigOpts
"""The options."""
options: Any
"""Those of the plugin itself, by name."""
log: logging.Logger
"""For what the plugin has to tell."""
cache: dict[Any, Any]
"""Lasts as long as the plugin, and is its own."""
host: str
"""Name of this host."""
state_dir: Path
"""The folder that keeps the agent's state."""


def __getattr__(name: str) -> NoReturn:
    if name.startswith("__"):
        raise AttributeError(name)
    raise ImportError(
        f"cannot import {name!r} from {__name__}: only drop-ins can; wanted in a package: an argument {name} "
        "of the constructor"
    )
