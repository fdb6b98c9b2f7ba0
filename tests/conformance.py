"""What the real Ceilometer was recorded to do, where the recording is at hand: beside the checkout."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "conformance"


def cases(name: str) -> list[dict[str, Any]]:
    """The cases of a file; skips the test where there are none, unless all that is needed must be there."""
    path = FOLDER / name
    if not path.exists():
        told = f"the recorded behaviour of Ceilometer is not here: {path}"
        if os.environ.get("METERAGENT_REQUIRE_SERVERS") == "1":
            pytest.fail(told)
        pytest.skip(told)
    return list(_read(path))


def _read(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def plain(value: Any) -> Any:
    """A value as JSON says it, with what JSON lacks said as the recording does."""
    if isinstance(value, float) and value - value != 0:
        return {"$float": "nan" if value != value else "inf" if value > 0 else "-inf"}
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    if isinstance(value, tuple):
        return {"$tuple": [plain(one) for one in value]}
    if isinstance(value, set):
        return {"$set": sorted((plain(one) for one in value), key=repr)}
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return {key: plain(one) for key, one in value.items()}
        return {"$pairs": [[plain(key), plain(one)] for key, one in value.items()]}
    return {"$datetime": value.isoformat()} if hasattr(value, "isoformat") else value
