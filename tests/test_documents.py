"""YAML documents: what they say, where they say it, and how a fault is told."""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from meteragent.documents import MOST_MERGED, Entry, as_text, load, shown, top
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


TEXTS = st.text(st.sampled_from("ab:-[]{}\"'!&*#|> \n\t%@,?<0\\U.~=\r\ufeff\x85"), max_size=40)


@given(TEXTS)
def test_any_text_is_read_as_safe_load_does_or_refused(text: str) -> None:
    """Nothing but a ConfigError comes out; a text without a document is refused, too."""
    wanted = outcome(yaml.safe_load, text)
    got = outcome(lambda text: load(text, "x.yaml").value, text)
    assert got == wanted or (got is None and wanted == "None")


@given(st.binary(max_size=60))
@example(b"\xff\xfea\x00")
@example(b"\n\xef")
@example(b"a: \xc3\x28\n")
def test_bytes_that_are_no_text_are_refused_where_they_begin(data: bytes) -> None:
    """With the line and the byte; others are not refused for that."""
    again = data.decode(errors="replace").encode()
    told = answer(data)
    assert ("is not UTF-8" in told) == (again != data)
    if again != data:
        # what is cut off in a letter may be how the letter in its place begins
        pairs = enumerate(zip(data, again, strict=False))
        differs = next((n for n, pair in pairs if len({*pair}) > 1), len(data))
        line = data.count(b"\n", 0, differs) + 1
        assert told.startswith(f"x.yaml:{line}: byte ")


@given(st.text(max_size=40) | TEXTS)
@example("a: \x00")
@example("\U0010ffff: 1")
def test_any_bytes_say_what_their_text_says(text: str) -> None:
    """Read or refused alike, and refused at a line of it."""
    told = answer(text.encode())
    assert told == answer(text)
    file, line, _ = f"{told}::".split(":", 2)
    if file == "x.yaml" and line.isdigit():
        assert 1 <= int(line) <= len(re.findall("\r\n?|[\n\x85\u2028\u2029]", text)) + 2


def answer(source: str | bytes) -> str:
    """What a document says, or why it is refused."""
    try:
        return repr(load(source, "x.yaml").value)
    except ConfigError as error:
        return str(error)


def test_a_fault_tells_its_key_value_and_what_was_meant() -> None:
    """Apart from the message, for programs; a password in a value is not told."""
    document = load("sources:\n- name: a\n  urls: ['x://me:hush@host']\n  intervall: 5\n", "x.yaml")
    top(document, ("sources",))
    entry = Entry(document, document.value["sources"][0], ("sources", 0), "source 'a'")
    error = entry.error("urls: odd", "urls", 0)
    assert (error.key, error.value) == ("sources[0].urls[0]", "'x://me:***@host'")
    missing = entry.missing("interval", "allowed is 5")
    assert (missing.key, missing.value) == ("sources[0].interval", "")
    assert (
        missing.problem
        == "source 'a': interval: missing; allowed is 5; perhaps: interval instead of intervall"
    )
    entry.warn_unknown(("name", "urls", "interval"))
    (remark,) = document.remarks
    assert (remark.line, remark.suggestion) == (4, "interval")


def test_reading_goes_on_behind_a_fault() -> None:
    """All are noted; who cannot go on is told the one that stands first."""

    def refused(entry: Entry, key: str) -> None:
        raise entry.error(f"{key}: no", key)

    document = load("a: 1\nb: 2\n", "x.yaml")
    entry = top(document, ("a",))
    document.raise_fault()
    for key in ("b", "a"):
        assert entry.attempt(refused, key) is None
    assert [fault.line for fault in document.faults] == [2, 1]
    with pytest.raises(ConfigError, match=r"x\.yaml:1: a: no"):
        document.raise_fault()
