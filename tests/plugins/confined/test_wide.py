"""Which folders of modules a confined plugin may not read for the sake of the modules."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TELLS = """\
import json
from meteragent.plugins.confined.wide import wide
print(json.dumps(wide()))
"""


def test_the_current_folder_and_the_home_folder_are_not_read(tmp_path: Path) -> None:
    """The one that ``python -m`` adds, the home folder and what that is in; others are."""
    here, home, modules = (tmp_path / name for name in ("here", "home/user", "modules"))
    for each in (here, home, modules):
        each.mkdir(parents=True)
    (here / "tells.py").write_text(TELLS)
    paths = (ROOT, home, home.parent, modules, home / "lib")
    env = {**os.environ, "HOME": str(home), "PYTHONPATH": os.pathsep.join(map(str, paths))}
    told = subprocess.run(
        [sys.executable, "-m", "tells"], check=True, capture_output=True, text=True, cwd=here, env=env
    )

    assert sorted(json.loads(told.stdout)) == sorted(map(str, (here, home, home.parent)))


def test_a_current_folder_that_was_granted_is_read(tmp_path: Path) -> None:
    """As it is named in PYTHONPATH, too."""
    (tmp_path / "tells.py").write_text(TELLS)
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    told = subprocess.run(
        [sys.executable, "-m", "tells"], check=True, capture_output=True, text=True, cwd=tmp_path, env=env
    )

    assert str(tmp_path) not in json.loads(told.stdout)
