"""Which attributes of users are kept."""

from hypothesis import given
from hypothesis import strategies as st
from oslo_config import cfg

from meteragent.notifications.options import RESERVED_OPTS
from meteragent.notifications.reserved import Reserved


def test_names_lose_their_beginning_and_their_dots() -> None:
    """``metering.server.group`` becomes ``server_group``, and what begins otherwise is left out."""
    found = {"metering.server.group": "blue", "note": "mine", "METERING.a": 1, 5: 6}
    assert Reserved().kept(found, {}) == {"server_group": "blue"}


def test_text_is_cut_and_other_values_are_kept() -> None:
    """Only text has a length."""
    found = {"metering.a": "12345", "metering.b": [1] * 9, "metering.c": None}
    assert Reserved(length=4).kept(found, {}) == {"a": "1234", "b": [1] * 9, "c": None}


def test_listed_keys_are_kept_whole() -> None:
    """Their dots, too, become underscores."""
    assert Reserved((), ("a.b", "c")).kept({"a.b": 1, "a.c": 2}, {}) == {"a_b": 1}


def test_a_later_rule_wins() -> None:
    """Of two attributes that get one name."""
    found = {"x.a": 1, "y.a": 2}
    assert Reserved(("x.", "y.")).kept(found, {}) == {"a": 2}
    assert Reserved(("y.", "x.")).kept(found, {}) == {"a": 1}


def test_a_name_that_is_taken_is_left_out() -> None:
    """The attribute of the resource counts more than that of its user."""
    assert Reserved().kept({"metering.host": "mine", "metering.b": 1}, {"host": "real"}) == {"b": 1}


def test_the_defaults_of_the_options_are_those_of_the_struct() -> None:
    """They are said twice."""
    conf = cfg.ConfigOpts()
    conf.register_opts(RESERVED_OPTS)
    conf([], default_config_files=[], default_config_dirs=[])
    assert Reserved.of(conf) == Reserved()


@given(st.dictionaries(st.text() | st.text().map("metering.{}".format), st.text()), st.integers(0, 9))
def test_what_is_kept_has_no_dots_and_no_long_text(found: dict[str, str], length: int) -> None:
    """Whatever users write."""
    for name, value in Reserved(length=length).kept(found, {}).items():
        assert "." not in name
        assert len(value) <= length
