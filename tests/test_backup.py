"""A real agent, backed up under load: each backup, restored, counts each sample once."""

import os
from pathlib import Path

from benchmarks.backup import backups


def test_five_backups_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    """Restored into fresh folders, agents go on where it was, and every account balances."""
    verdict = backups(tmp_path, 5, int(os.environ.get("METERAGENT_BACKUP_SEED", "7")))
    assert not verdict["faults"]
    assert verdict["pending"] > 0
