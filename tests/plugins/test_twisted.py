"""Twisted's guide to plugins, transposed: materials, each an instance that keeps a verified interface.

A steel plate and a brass plate are instances of one class in one file; what is dropped in while the agent
runs is found anew.
"""

from pathlib import Path

from tests.plugins.dropped import agent, reload, stored

SIMPLE = '''\
"""Simple materials."""

from meteragent.sample import Sample

KELVIN = 500


class SimpleMaterial:
    """An object with specific physical properties."""

    provides = "pollster"

    def __init__(self, name, yield_stress_factor, dielectric_constant):
        self.name, self.factor, self.dielectric_constant = name, yield_stress_factor, dielectric_constant
        self.meters = ("material.yield_stress",)

    def yield_stress(self, temperature):
        return self.factor * temperature

    def get_samples(self):
        yield Sample(
            name="material.yield_stress", type="gauge", unit="Pa", volume=self.yield_stress(KELVIN),
            resource_id=self.name, resource_metadata={"dielectric_constant": str(self.dielectric_constant)},
        )


'''
PLATES = (
    SIMPLE
    + """\
steel_plate = SimpleMaterial("steel", 2.06842719e11, 2.7 + 0.2j)
brass_plate = SimpleMaterial("brass", 1.03421359e11, 1.4 + 0.5j)
PLUGINS = {"pollster:material.steel_plate": steel_plate, "pollster:material.brass_plate": brass_plate}
"""
)
ALUMINIUM = (
    SIMPLE
    + """\
aluminium_plate = SimpleMaterial("aluminium", 0.5e11, 1.1 + 0.1j)
PLUGINS = {"pollster:material.aluminium_plate": aluminium_plate}
"""
)
JELLY = '''\
"""A material that does not keep the interface."""


class Jelly:
    provides = "pollster"

    def get_samples(self, temperature):
        return []


jelly = Jelly()
PLUGINS = {"pollster:material.jelly": jelly}
'''
POLLING = "sources: [{name: materials, interval: 1, meters: ['material.*']}]"


def test_all_known_materials_are_metered(tmp_path: Path) -> None:
    """Two instances of one class, each with what it was made with."""
    with agent(tmp_path, {"plates.py": PLATES}, polling=POLLING) as running:
        samples = {each.resource_id: each for each in stored(running, "material.yield_stress", 2)}

        assert samples["steel"].volume == 2.06842719e11 * 500
        assert samples["brass"].volume == 1.03421359e11 * 500
        assert dict(samples["brass"].resource_metadata) == {"dielectric_constant": "(1.4+0.5j)"}


def test_one_that_is_dropped_in_meanwhile_is_found_anew(tmp_path: Path) -> None:
    """At the next reload, beside those that are there, which stay the objects that they are."""
    with agent(tmp_path, {"plates.py": PLATES}, polling=POLLING) as running:
        before = {each.label: each.object for each in running.plugins()}
        (tmp_path / "dropins" / "aluminium.py").write_text(ALUMINIUM)

        assert reload(running, tmp_path) == [
            "reloaded: plugin pollster:material.aluminium_plate added",
            "reloaded: polling source materials changed",
        ]
        found = stored(running, "material.yield_stress", 9)
        assert {each.resource_id for each in found} == {"aluminium", "brass", "steel"}
        after = {each.label: each.object for each in running.plugins()}
        for label in ("pollster:material.steel_plate", "pollster:material.brass_plate"):
            assert after[label] is before[label]


def test_one_that_is_taken_away_is_gone(tmp_path: Path) -> None:
    """And hides none of the others."""
    with agent(tmp_path, {"plates.py": PLATES, "aluminium.py": ALUMINIUM}, polling=POLLING) as running:
        (tmp_path / "dropins" / "plates.py").unlink()

        assert reload(running, tmp_path) == [
            "reloaded: plugin pollster:material.brass_plate removed",
            "reloaded: plugin pollster:material.steel_plate removed",
            "reloaded: polling source materials changed",
        ]
        assert [each.label for each in running.plugins() if each.distribution.endswith(".py")] == [
            "pollster:material.aluminium_plate"
        ]


def test_one_that_does_not_keep_the_interface_is_told_with_both_sides(tmp_path: Path) -> None:
    """It says that it does, and is verified; the others are metered."""
    with agent(tmp_path, {"plates.py": PLATES, "jelly.py": JELLY}, polling=POLLING) as running:
        jelly = next(each for each in running.plugins() if each.label == "pollster:material.jelly")

        assert jelly.state == "failed"
        assert "wanted get_samples(resources, cache, at, conf, host, log, " in jelly.reason
        assert jelly.reason.endswith(f"; found get_samples(temperature) at {tmp_path}/dropins/jelly.py:7")
        assert len(stored(running, "material.yield_stress", 2)) >= 2
