"""Tests of the options that plugins declare: what is sound, what the configuration takes, what is given."""

import pickle
from pathlib import Path
from typing import Any

import msgspec
import pytest
from oslo_config import cfg

from meteragent.config import load
from meteragent.errors import ConfigError, PluginError
from meteragent.plugins import option
from meteragent.plugins.catalog import Found
from meteragent.plugins.option import Option, Values
from meteragent.plugins.reading import Told

LABEL = "pollster:other.quote"
EACH = (
    Option("file", default="/usr/share/quotes", help="Where the quotes are."),
    Option("count", default=1, minimum=1, maximum=10, unit="quote"),
    Option("share", type=float, default=1, maximum=1),
    Option("loud", default=False),
    Option("authors", default=("Wilde", "Shaw"), choices=("Wilde", "Shaw", "Twain")),
    Option("mood", type="str", choices=("gay", "grave")),
    Option("token", secret=True),
)


def found(*options: Option) -> Found:
    """A plugin whose source tells these options."""
    return Found("pollster", "meteragent.poll.other", "quote", "quote:Quote", told=Told(options=options))


def read(tmp_path: Path, text: str, *options: Option, declared: Any = None) -> Values:
    """The values that a config file gives."""
    (tmp_path / "x.conf").write_text(text)
    return option.values(load([f"{tmp_path}/x.conf"]).conf, found(*options), declared)


def test_the_type_is_that_of_the_default_unless_it_is_told() -> None:
    """As a name, whichever way it was told; without either it is text."""
    assert [each.type for each in EACH] == ["str", "int", "float", "bool", "list", "str", "str"]


def test_an_option_survives_being_written_down() -> None:
    """As the catalogue does that keeps it."""
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(EACH), type=tuple[Option, ...])
    assert again == EACH


def test_without_a_word_in_the_configuration_the_defaults_hold(tmp_path: Path) -> None:
    """Each of its type; a default is nobody's reference, whatever signs are in it."""
    values = read(tmp_path, "", *EACH, Option("price", default="$5 $host"))
    assert dict(values) == {
        "file": "/usr/share/quotes", "count": 1, "share": 1.0, "loud": False, "authors": ["Wilde", "Shaw"],
        "mood": None, "token": None, "price": "$5 $host",
    }  # fmt: skip
    assert isinstance(values.share, float)
    assert option.values(None, found(*EACH)).count == 1


def test_the_configuration_sets_values_in_the_group_of_the_label(tmp_path: Path) -> None:
    """Each read as its type says."""
    text = f"[{LABEL}]\ncount = 3\nshare = .5\nloud = yes\nauthors = Twain, Shaw\nmood = grave\ntoken = x\n"
    values = read(tmp_path, text, *EACH)
    assert (values.count, values["share"], values.loud, values.authors) == (3, 0.5, True, ["Twain", "Shaw"])
    assert (values.mood, values.token) == ("grave", "x")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("count = 0", "'0': allowed: integer from 1 to 10"),
        ("count = many", "'many': allowed: integer from 1 to 10"),
        ("share = 2", "'2': allowed: floating point of at most 1"),
        ("share = nan", "'nan': allowed: floating point of at most 1"),
        ("loud = perhaps", "'perhaps': allowed: boolean"),
        ("authors = Wilde, Kafka", "'Wilde, Kafka': allowed: a list of Wilde, Shaw, Twain"),
        ("mood = sad", "'sad': allowed: one of gay, grave"),
    ],
)
def test_a_wrong_value_is_told_with_its_place_and_what_is_allowed(
    tmp_path: Path, line: str, told: str
) -> None:
    """Also where only the loaded plugin could tell its options."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, f"[{LABEL}]\n{line}\n", declared=EACH)
    name = line.partition(" ")[0]
    assert str(caught.value) == f"{tmp_path}/x.conf:2: [{LABEL}] {name} = {told}"


def test_a_secret_is_in_no_message_and_no_repr(tmp_path: Path) -> None:
    """The plugin itself is given it."""
    values = read(tmp_path, f"[{LABEL}]\ntoken = hush\n", *EACH)
    assert values.token == "hush"
    assert "hush" not in repr(values)
    assert "token=(secret)" in repr(values)
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, f"[{LABEL}]\npin = hush\n", declared=[Option("pin", type=int, secret=True)])
    assert "hush" not in str(caught.value)


def test_a_key_that_only_the_loaded_plugin_could_refuse_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With its place and what was perhaps meant."""
    read(tmp_path, f"[{LABEL}]\ncuont = 3\n", declared=EACH)
    assert f"{tmp_path}/x.conf:2: [{LABEL}] cuont is no option and is ignored" in caplog.text
    assert "perhaps: count" in caplog.text


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([Option("count"), Option("count")], "'count' of pollster:other.quote is declared twice"),
        ([Option("count", default=0, minimum=1)], "'count' .* default 0; allowed: integer of at least 1"),
        ([Option("count", default=11, maximum=10)], "'count' .* default 11; allowed: integer of at most 10"),
        ([Option("count", default="3", type=int)], "'count' .* default '3', which is no int"),
        ([Option("count", default=True, type=int)], "'count' .* default True, which is no int"),
        ([Option("when", type="date")], "'when' .* type 'date'; allowed are str, int, float, bool, list"),
        ([Option("when", default=object())], "'when' .* type 'object'; allowed are"),
        ([Option("values")], "'values' .* reserved name; reserved are get, items, keys, values"),
        ([Option("Count")], "'Count' .* no sound name"),
        ([Option("class")], "'class' .* no sound name"),
        ([Option("_count")], "'_count' .* no sound name"),
        ([Option("name", minimum=1)], "'name' .* type str and has a range"),
        ([Option("count", default=2, minimum=3, maximum=1)], "'count' .* the range 3 to 1"),
        ([Option("count", type=int, minimum=float("nan"))], "'count' .* the range nan to None"),
        ([Option("mood", default="sad", choices=("gay",))], "'mood' .* default 'sad'; allowed: one of gay"),
        ([Option("authors", default=["x"], choices=("y",))], "'authors' .* allowed: a list of y"),
        ([Option("mood", choices=(1, 2))], r"'mood' .* choices \(1, 2\); wanted a tuple of str"),
        ([Option("share", default=float("nan"))], "'share' .* default nan, which is no float"),
        ([Option("when", type=["int"])], r"'when' .* type \['int'\]; allowed are"),
        ([Option("count", type=int, choices=(1, 9), maximum=5)], "'count' .* some are out of its range"),
        ([Option("loud", type=bool, choices=(True,))], "'loud' .* type bool and has choices"),
        ([Option("count", help=None)], "'count' .* a help or a unit that is no text: None"),  # type: ignore[arg-type]
        (["count"], "wanted options: a list or tuple of Option; found"),
        (Option("count"), "wanted options: a list or tuple of Option; found"),
    ],
)
def test_a_wrong_declaration_is_refused_with_its_name(options: Any, told: str) -> None:
    """And with what it says and what is allowed."""
    with pytest.raises(PluginError, match=told):
        option.check(LABEL, options)


def test_what_the_loaded_plugin_declares_otherwise_than_its_source_is_refused() -> None:
    """The values were read as its source says."""
    conf = cfg.ConfigOpts()
    option.values(conf, found(Option("count", default=1)))
    with pytest.raises(PluginError, match=r"option 'count' of .* is not what its source declares"):
        option.values(conf, found(), [Option("count", default=2)])


def test_values_are_a_mapping_that_nobody_can_change() -> None:
    """Read as attributes, too; a name that is not declared is told with those that are."""
    values = Values({"count": 3, "mood": None})
    assert (values.count, values["mood"], list(values), len(values)) == (3, None, ["count", "mood"], 2)
    with pytest.raises(AttributeError, match="option 'count' is set in the configuration only"):
        values.count = 4
    with pytest.raises(AttributeError, match="no option 'cuont' is declared; declared are count, mood"):
        _ = values.cuont
    assert pickle.loads(pickle.dumps(values)) == values
