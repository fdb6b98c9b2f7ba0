"""The discovery of resources that the polling source names itself."""

import pytest

from meteragent.discovery.static import StaticDiscovery


@pytest.mark.parametrize(
    ("param", "found"),
    [
        ("a,b,c", ["a", "b", "c"]),
        ("a", ["a"]),
        (" a , b ", ["a", "b"]),
        ("a,,b,", ["a", "b"]),
        ("a,b,a", ["a", "b"]),
        ("snmp://10.0.0.1:161/x,b", ["snmp://10.0.0.1:161/x", "b"]),
        ("", []),
        (" , ", []),
        (None, []),
    ],
)
def test_finds_what_the_parameter_lists(param: str | None, found: list[str]) -> None:
    """Names between commas, each once and in order; empty ones are none."""
    assert list(StaticDiscovery().discover(param)) == found
