"""Read a polling.yaml as the agent does, so that a test can ask what it means."""

from meteragent.pollsters.definition import PollingSource, parse


def polling_sources(yaml_text: str | bytes) -> list[PollingSource]:
    """All entries in their order, each as written: none is merged.

    Each has ``name`` (of any type), ``interval`` (int, seconds), ``resources`` and ``discovery``
    (lists) and ``supports(meter) -> bool``.

    :raises ConfigError: for every fault, from YAML syntax to meaning
    """
    return parse(yaml_text, "polling.yaml")[0]
