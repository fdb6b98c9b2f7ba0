"""A Python environment in which what `plugin new` writes can be installed, beside what the tests have."""

import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path


def make(folder: Path) -> Path:
    """An environment that sees all that this one has; its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=60)
    (packages,) = folder.glob("lib/python*/site-packages")
    here = sysconfig.get_path("purelib")
    (packages / "here.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    return folder / "bin" / "python"


def install(python: Path, packages: Iterable[Path]) -> None:
    """The same as ``pip install -e``, for which no network is needed."""
    named = [word for each in packages for word in ("-e", str(each))]
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-index",
         "--disable-pip-version-check", "--no-deps", "--no-build-isolation", *named],
        check=True, timeout=300,
    )  # fmt: skip


def script(python: Path, *words: str) -> list[str]:
    """A command line as it stands in the guide, in that environment."""
    program, *arguments = words
    module = {"meteragent": "meteragent", "pytest": "pytest"}[program]
    return [str(python), "-m", module, *arguments]
