"""Signatures: anyone with the secret can tell whether a message is as it was sent."""

import hmac
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meteragent import signing
from meteragent.signing import LEVELS, sign, verify

TEXT = st.text(max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)
MESSAGES = st.dictionaries(TEXT, VALUES, max_size=5)


def told(text: str, secret: str = "s") -> str:
    """Signature of the very text that is to be signed."""
    return hmac.new(secret.encode(), text.encode(), "sha256").hexdigest()


def nested(kind: str, levels: int) -> dict[str, Any]:
    """A message of so many levels."""
    inner: Any = {} if kind == "mappings" else []
    for _ in range(levels - 2):
        inner = {"a": inner} if kind == "mappings" else [inner]
    return {"a": inner}


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({}, ""),
        ({"b": 2, "a": 1, "B": 3}, "B3a1b2"),
        ({"a": {"c": {"d": 1}, "b": None}}, "a:bNonea:c:d1"),
        ({"a": {}, "b": []}, "b[]"),
        ({"a": 10}, "a10"),
        ({"a": 10.0}, "a10.0"),
        ({"a": -0.0, "b": 1e22, "c": 2**80}, f"a-0.0b1e+22c{2**80}"),
        ({"a": True, "b": "é"}, "aTruebé"),
        ({"a": ["é", 1, None, 2.0]}, "a[b'\\xc3\\xa9', 1, None, 2.0]"),
        ({"a": [{"y": "z", "x": ["w"]}]}, "a[{b'x': [b'w'], b'y': b'z'}]"),
        ({"a": ("t", (1,))}, "a[b't', [1]]"),
        ({"a": b"x", "b": [b"x"]}, "ab'x'b['x']"),
        ({"a": {1}, "b": set(), "c": frozenset({2})}, "a{1}bset()cfrozenset({2})"),
        ({1: "a", 0: "b"}, "0b1a"),
        ({"a": 1, "message_signature": "old"}, "a1"),
        ({"a": {"message_signature": 1}}, "a:message_signature1"),
        ({"message_signature": {"b": 1}}, "message_signature:b1"),
    ],
)
def test_names_and_values_are_signed_in_the_order_of_the_names(message: dict[Any, Any], text: str) -> None:
    """Depth first, nothing between them, lists with texts as bytes, and without the signature itself."""
    assert sign(message, "s") == told(text)


def test_secrets_are_utf_8() -> None:
    """As text or as bytes."""
    assert sign({"a": 1}, "ü") == sign({"a": 1}, "ü".encode()) == told("a1", "ü")


@pytest.mark.parametrize("secret", ["", b"", None])
def test_an_empty_secret_signs_nothing_and_vouches_for_all(secret: Any) -> None:
    """The signature is empty and any message is taken, whatever other secrets there are."""
    assert sign({"a": 1}, secret) == ""
    assert verify({"a": 1}, [secret])
    assert verify({"a": 1, "message_signature": 7}, ["s", secret])


@given(MESSAGES)
def test_a_message_is_verified_after_a_bus_of_json(message: dict[str, Any]) -> None:
    """Whatever the order of its keys there; by no other secret, and by none at all."""
    message["message_signature"] = sign(message, "s")
    arrived = json.loads(json.dumps(dict(reversed(message.items()))))
    assert verify(arrived, ["s"])
    assert verify(arrived, ["newer", "s"])
    assert not verify(arrived, ["t"])
    assert not verify(arrived, [])


@given(MESSAGES, TEXT, st.integers())
def test_any_change_is_found(message: dict[str, Any], name: str, value: int) -> None:
    """A changed, added or removed number fails."""
    before = {key: each for key, each in message.items() if key != name}
    signed = {**before, name: value, "message_signature": sign({**before, name: value}, "s")}
    assert verify(signed, ["s"])
    assert not verify({**signed, name: value + 1}, ["s"])
    assert not verify({**before, "message_signature": signed["message_signature"]}, ["s"])


@pytest.mark.parametrize(
    "signature", [None, 7, "", "é", b"x", [], "\ud800", told("a1").upper(), told("a1")[:-1]]
)
def test_what_is_no_signature_is_not_one(signature: Any) -> None:
    """No text, no ASCII, another spelling or a part: false, never an error."""
    assert verify({"a": 1, "message_signature": told("a1")}, ["s"])
    assert not verify({"a": 1, "message_signature": signature}, ["s"])
    assert not verify({"a": 1}, ["s"])


@pytest.mark.parametrize("kind", ["mappings", "lists"])
def test_nesting_has_a_bound(kind: str) -> None:
    """Up to it a message is signed, beyond it is refused in one line, at any depth."""
    message = nested(kind, LEVELS)
    assert verify({**message, "message_signature": sign(message, "s")}, ["s"])
    for levels in (LEVELS + 1, 100_000):
        deeper = nested(kind, levels)
        with pytest.raises(ValueError, match=f"nested deeper than {LEVELS} levels"):
            sign(deeper, "s")
        assert not verify({**deeper, "message_signature": told("")}, ["s"])


@pytest.mark.parametrize(
    "message",
    [
        {"a": 1, 2: 3},
        {"a": {"a": 1, None: 3}},
        {"a": [{"a": 1, 2: 3}]},
        {"a": [{(1, 2): 3}]},
        {"a": "\ud800"},
        {"a": [b"\xff"]},
        {"a": ["\ud800"]},
        {"a": 10**5000},
        {"a": [10**5000]},
    ],
)
def test_what_cannot_be_signed_is_a_value_error(message: dict[Any, Any]) -> None:
    """In one line; verification of it is false."""
    with pytest.raises(ValueError, match=r"\A.+\Z"):
        sign(message, "s")
    assert not verify({**message, "message_signature": told("")}, ["s"])


def test_a_message_that_unfolds_without_end_is_refused() -> None:
    """A long name above many values stands before each of them in what is signed."""
    message = {"n" * 100_000: {str(number): 0 for number in range(1_000)}}
    with pytest.raises(ValueError, match=f"more than {signing.LARGEST} characters"):
        sign(message, "s")


def test_a_large_message_is_signed() -> None:
    """Ten megabytes of samples are no trouble."""
    message = {"samples": [{"counter_name": "meter", "volume": number} for number in range(250_000)]}
    assert len(sign(message, "s")) == 64


def test_a_set_is_signed_alike_in_every_process() -> None:
    """Python's own order of texts in a set is another each time."""
    message = "{'a': {'x', 'y', 'z'}, 'b': [frozenset({b'p', 'q'})]}"
    program = f"from meteragent.signing import sign; print(sign({message}, 's'))"
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in range(4)
    }
    assert found == {told("a{'x', 'y', 'z'}b[frozenset({'q', b'p'})]") + "\n"}
