"""YAML documents: what they say, where they say it, and how a fault is told."""

import contextlib
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from meteragent.documents import MOST_MERGED, as_text, load, shown
from meteragent.errors import ConfigError


def refusal(text: str | bytes) -> ConfigError:
    """The error that a text gives."""
    with pytest.raises(ConfigError) as caught:
        load(text, "x.yaml")
    return caught.value


@pytest.mark.parametrize(
    "text",
    [
        "a: 1:30\nb: 0x10\nc: yes\nd: 2020-01-02\ne: 1e3\nf: ~\n",
        "base: &base {a: 1, b: 2}\nmore: {<<: *base, b: 3}\n",
        "&a [*a]",
        "a: !!set {x, y}\nb: !!omap [k: v]\nc: !!binary YQ==\n",
        "\ufeffa: 1\n",
        "a: 1\r\nb:\r\n- ü\r\n",
        "a: &a {b: &b {<<: *a, c: 1}, <<: *b}",
        "{a:1}",
        "null",
    ],
)
def test_a_document_says_what_safe_load_says(text: str) -> None:
    """YAML 1.1, as the ancestor reads it."""
    assert repr(load(text, "x.yaml").value) == repr(yaml.safe_load(text))


def test_bytes_are_read_as_utf8() -> None:
    """Whatever the locale says."""
    assert load("a: ü".encode(), "x.yaml").value == {"a": "ü"}


def test_each_entry_knows_its_line() -> None:
    """Keys and positions in lists lead to a line, counted from 1."""
    document = load("a: 1\nb:\n- x\n- c: 2\n  d: [1,\n   2]\n7: x\n", "x.yaml")
    assert document.line() == 1
    assert document.line("b") == 2
    assert document.line("b", 0) == 3
    assert document.line("b", 1, "d") == 5
    assert document.line("b", 1, "d", 1) == 6
    assert document.line(7) == 7


def test_what_is_not_there_has_no_line() -> None:
    """Its error tells the line of what it is missing from."""
    document = load("a:\n- b: 1\n", "x.yaml")
    assert document.line("a", 0, "c") is None
    assert document.line("a", 5) is None
    assert document.line("a", 0, "b", "deeper") is None
    assert document.error("c: missing", "a", 0, "c").line == 2


def test_duplicate_keys_are_told_and_the_last_counts() -> None:
    """Also with other quotes; a key that overrides a merged one is no duplicate."""
    document = load("a: 1\nb: {x: &x {k: 1}}\n'a': 2\nc: {<<: *x, k: 2, k: 3}\n", "x.yaml")
    assert document.value["a"] == 2
    assert document.duplicates == [("a", 3), ("k", 4)]
    assert document.line("a") == 3


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("", 1, "empty; a YAML document is expected"),
        ("# comment\n\n", 1, "empty"),
        ("a: 1\nb: [\n", 3, "while parsing a flow node"),
        ("a:\n- *\n", 2, "text that begins with ! or * needs quotes"),
        ("a:\n- !cpu\n", 2, "text that begins with ! or * needs quotes"),
        ("a: *b", 1, "undefined alias 'b'"),
        ("a: 1\n---\nb: 2\n", 2, "a second document begins here"),
        ("a: 1\nb: x\0y\n", 2, r"character '\x00' is not allowed"),
        (b"a: 1\nb: \xff\n", 2, r"byte b'\xff' is not UTF-8"),
        ("a: 1\nb: 2024-02-31\n", 2, "'2024-02-31' is no timestamp"),
        ("a: !!bool maybe", 1, "'maybe' is no bool"),
        ("a: !!int ''", 1, "'' is no int"),
        ('\n\na: "\\UFFFFFFFF"', 3, "not YAML"),
        ("a: " + "9" * 5000, 1, "is no int"),
        ("? [a]\n: b\n", 1, "unhashable key"),
        ("a:\t1\n", 1, "cannot start any token"),
        ("\ta: 1\n", 1, "cannot start any token"),
        ("a: !!python/name:os.system x", 1, "could not determine a constructor"),
    ],
)
def test_every_fault_is_a_config_error_with_file_and_line(text: str | bytes, line: int, told: str) -> None:
    """In one line, without a traceback."""
    error = refusal(text)
    assert (error.file, error.line) == ("x.yaml", line)
    assert told in str(error)
    assert "\n" not in re.sub(r"\\n", "", str(error))


def test_too_deep_a_nesting_is_refused() -> None:
    """It neither crashes nor raises a RecursionError."""
    assert "nested too deeply" in str(refusal("[" * 2_000))
    assert "nested too deeply" in str(refusal("- " * 5_000 + "a"))


def billion(level: str) -> str:
    """Eight levels of ten aliases each to the one before."""
    lines = ["l0: &l0 " + level.format(*["x"] * 10)]
    lines += [f"l{n}: &l{n} " + level.format(*[f"*l{n - 1}"] * 10) for n in range(1, 9)]
    return "\n".join(lines)


def test_aliases_of_aliases_cost_no_more_than_their_text() -> None:
    """Lists of lists share what they name, and are shown cut short."""
    began = time.monotonic()
    document = load(billion("[{}, {}, {}, {}, {}, {}, {}, {}, {}, {}]"), "x.yaml")
    assert len(shown(document.value)) < 5000
    assert len(as_text(document.value)) < 5000
    assert document.line("l8", 3, 2, 1) == 6
    assert time.monotonic() - began < 5


def test_merges_of_merges_are_refused_beyond_a_bound() -> None:
    """Each level multiplies, so it is counted before it is done."""
    merges = "\n".join(
        f"l{n}: &l{n} {{<<: [{', '.join([f'*l{n - 1}'] * 10)}], k{n}: 1}}" for n in range(1, 9)
    )
    began = time.monotonic()
    error = refusal("l0: &l0 {a: 1}\n" + merges)
    assert f"merge keys bring in more than {MOST_MERGED} pairs" in str(error)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), (5, "5"), (None, "None"), ([1], "[1]"), ("\ud800", "\\ud800"), (b"x", "b'x'")],
)
def test_a_name_of_any_type_becomes_text(value: Any, text: str) -> None:
    """Text that any encoding can hold."""
    assert as_text(value) == text


def test_a_number_of_too_many_digits_is_shown_without_them() -> None:
    """Python refuses to print it."""
    number = 16**5000
    assert shown(number) == "int too long to show"
    assert as_text(number) == shown(number)
    assert shown([number]) == "list too long to show"


def outcome(read: Callable[[Any], object], text: str | bytes) -> str | None:
    """What a text is read as, or None where it is refused."""
    try:
        return repr(read(text))
    except (ConfigError, yaml.YAMLError, ValueError, LookupError, AttributeError, OverflowError):
        return None


@given(st.text(st.sampled_from("ab:-[]{}\"'!&*#|> \n\t%@,?<0\\U.~=\r\ufeff\x85"), max_size=40))
def test_any_text_is_read_as_safe_load_does_or_refused(text: str) -> None:
    """Nothing but a ConfigError comes out; a text without a document is refused, too."""
    wanted = outcome(yaml.safe_load, text)
    got = outcome(lambda text: load(text, "x.yaml").value, text)
    assert got == wanted or (got is None and wanted == "None")


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Nothing but a ConfigError comes out."""
    with contextlib.suppress(ConfigError):
        load(data, "x.yaml")
