"""What the configuration says of confined plugins, and what it may not say."""

import os
from pathlib import Path
from typing import Any

import pytest

from meteragent import config
from meteragent.errors import ConfigError
from meteragent.plugins.confined.options import terms
from meteragent.plugins.confined.terms import Terms

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def configured(folder: Path, text: str) -> Any:
    """The options of a config file."""
    file = folder / "meteragent.conf"
    file.write_text(f"[isolation]\n{text}\n")
    return config.load([str(file)], state_dir=str(folder)).conf


@needs_root
def test_the_options_become_terms(tmp_path: Path) -> None:
    """Each of them, with the numbers of the user."""
    text = """\
user = nobody
memory = 32
processes = 4
open_files = 20
disk = 2
network = true
read_paths = /sys, /run
write_paths = /var/tmp
start_timeout = 3
discoveries = static, nodes
"""
    wanted = Terms(
        65534, 65534, 32, 4, 20, 2, True, ("/sys", "/run"), ("/var/tmp",), 3.0, ("static", "nodes")
    )
    assert terms(configured(tmp_path, text)) == wanted


@needs_root
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "[isolation] user: an agent that runs as root needs an unprivileged one for plugins in "
             "processes of their own; none is named"),
        ("user = root", "[isolation] user: 'root' is root, or of its group; allowed is an unprivileged one"),
        ("user = 0", "[isolation] user: '0' is root, or of its group; allowed is an unprivileged one"),
        ("user = nosuch", "[isolation] user: 'nosuch' is not known on this machine"),
        ("user = nobody\nread_paths = etc", "[isolation] read_paths: 'etc' is no absolute path"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    """Naming the option, the value and what is allowed."""
    with pytest.raises(ConfigError) as caught:
        terms(configured(tmp_path, text))

    assert str(caught.value) == reason


@needs_root
def test_what_is_not_said_is_as_in_the_terms(tmp_path: Path) -> None:
    """A plugin that is confined anywhere else has the same limits."""
    assert terms(configured(tmp_path, "user = nobody")) == Terms(65534, 65534)


def test_limits_have_ranges(tmp_path: Path) -> None:
    """A value outside is a fault of the file."""
    with pytest.raises(ConfigError, match="memory"):
        configured(tmp_path, "memory = 1")
