"""What is known of an exporter."""

from hypothesis import given
from hypothesis import strategies as st

from meteragent.pollsters.exporter.endpoint import Endpoint

LABELS = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.text('x,=b"\\', max_size=6))


@given(LABELS, LABELS, st.sampled_from(["{instance}", "r"]))
def test_other_labels_make_another_resource(first: dict[str, str], second: dict[str, str], text: str) -> None:
    """Whatever the id is made of, two series of an endpoint share it only when their labels are equal."""
    endpoint = Endpoint({"url": "http://h:1/metrics", "resource": text})
    assert (endpoint.resource_id(first) == endpoint.resource_id(second)) == (first == second)


def test_an_instance_is_host_port_and_an_unusual_path() -> None:
    """And never the name or password in the URL."""
    assert Endpoint("http://h:9100/metrics").instance == "h:9100"
    assert Endpoint("https://ann:pw@h/metrics/").instance == "h"
    assert Endpoint("http://h:9100/probe").instance == "h:9100/probe"
    assert Endpoint("http://ann:pw@h/").shown == "http://ann:***@h/"
