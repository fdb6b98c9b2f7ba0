"""Tests of the faults of options, where all of a configuration is not needed."""

import pytest
from oslo_config import cfg

from meteragent import option_faults
from meteragent.config_files import Place


@pytest.mark.parametrize(
    ("opt", "words"),
    [
        (cfg.StrOpt("x", choices=["a", "b"]), "one of a, b"),
        (cfg.StrOpt("x", regex="^a"), "text that matches ^a"),
        (cfg.IntOpt("x", min=1, max=3), "integer from 1 to 3"),
        (cfg.IntOpt("x", min=1), "integer of at least 1"),
        (cfg.FloatOpt("x", max=3), "floating point of at most 3"),
        (cfg.BoolOpt("x"), "boolean"),
        (cfg.DictOpt("x"), "key:value, separated by commas"),
        (cfg.DictOpt("x", metavar="module:reason"), "module:reason"),
    ],
)
def test_what_is_allowed_is_told_in_words(opt: cfg.Opt, words: str) -> None:
    """Of every kind of option."""
    assert option_faults.allowed(opt) == words


def test_behind_a_fault_the_default_holds() -> None:
    """So that the rest can be looked at."""
    opt = cfg.IntOpt("x", default=4, min=1)
    conf = cfg.ConfigOpts()
    conf.register_opts([opt], "group")
    conf([], default_config_files=[], default_config_dirs=[])
    places = {("group", "x"): Place("broken.conf", 7, "none")}
    (fault,) = option_faults.of_values(conf, [("group", [opt])], places, {"broken.conf"})
    assert str(fault) == "broken.conf:7: [group] x = 'none': allowed: integer of at least 1"
    assert conf.group.x == 4
    assert not [*option_faults.of_values(conf, [("group", [opt])], {})]


def test_a_sound_value_of_a_file_that_cannot_be_parsed_holds() -> None:
    """It decides where the documents are."""
    opt = cfg.IntOpt("x", default=4)
    conf = cfg.ConfigOpts()
    conf.register_opts([opt])
    conf([], default_config_files=[], default_config_dirs=[])
    places = {("DEFAULT", "x"): Place("broken.conf", 7, "5")}
    assert not [*option_faults.of_values(conf, [("DEFAULT", [opt])], places, {"broken.conf"})]
    assert conf.x == 5
