"""The words of the documents are proved."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
WORDS = ("identity", "duplicate", "superseded", "conflict", "gap", "quarantine", "account")


@pytest.mark.parametrize("word", WORDS)
def test_each_word_names_a_test_that_exists(word: str) -> None:
    """The table in doc/concepts.rst names a test for each word, and that test is there."""
    text = (ROOT / "doc" / "concepts.rst").read_text()
    row = re.search(rf"^{word}  .*``(test_\w+)``$", text, re.M)
    assert row, word
    sources = [*ROOT.glob("tests/**/*.py"), *ROOT.glob("meteragent/testing/*.py")]
    assert any(f"def {row.group(1)}(" in path.read_text() for path in sources), row.group(1)
