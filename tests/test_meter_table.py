"""The table of meters in the documentation."""

from importlib.metadata import entry_points

from tests.meter_table import PAGE, current


def test_the_table_is_what_the_pollsters_declare() -> None:
    """After a change of a declaration, ``make meters`` brings the page up to date."""
    assert PAGE.read_text() == current()


def test_declarations_are_whole() -> None:
    """Each pollster declares exactly its meters, and says in a sentence what each is."""
    for pollster in entry_points(group="meteragent.poll.host"):
        kind = pollster.load()
        assert [meter.name for meter in kind.declares] == list(kind.meters)
        for meter in kind.declares:
            assert meter.meaning.endswith(".")
            assert meter.resource.startswith("<host>")
