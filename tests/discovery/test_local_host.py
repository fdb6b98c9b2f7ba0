"""The discovery of the agent's own machine."""

from meteragent.discovery.local_host import LocalHostDiscovery


def test_finds_the_host_once() -> None:
    """The host name that the agent goes by is the only resource."""
    assert list(LocalHostDiscovery("web1").discover()) == ["web1"]


def test_parameter_changes_nothing() -> None:
    """There is one local host, whatever is written behind the colon."""
    assert list(LocalHostDiscovery("web1").discover("web2")) == ["web1"]
