"""Makes a folder that Python takes for an installed distribution with plugins, for agents as processes."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def install(folder: Path, name: str, source: str, entry_points: Mapping[str, Mapping[str, str]]) -> Path:
    """Write a module and the metadata that announces its entry points.

    :param source: text of the module ``name``
    :param entry_points: by group, by name, the attribute of the module
    """
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(source)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = []
    for group, entries in entry_points.items():
        lines += [f"[{group}]", *(f"{key} = {name}:{value}" for key, value in entries.items()), ""]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    return folder


def environment(*folders: Path, **more: str) -> dict[str, str]:
    """The environment of an agent that sees these folders."""
    paths = [str(folder) for folder in folders] + [str(ROOT)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **more}


def command(*arguments: str | Path) -> list[str]:
    """A command line of the agent under this interpreter."""
    return [sys.executable, "-m", "meteragent", *map(str, arguments)]
