"""What a ``notifier:`` URL says, and what is told of a wrong one."""

import logging
from pathlib import Path
from typing import Any

import pytest

from meteragent.config import load
from meteragent.errors import ConfigError
from meteragent.publishers.notifier.destination import Destination, destination

HOST = "notifier://u:pw@h"


@pytest.fixture
def conf(tmp_path: Path) -> Any:
    """Options without any bus."""
    return configured(tmp_path, "")


def configured(folder: Path, options: str) -> Any:
    """Options of an agent that listens as these lines of its group say."""
    file = folder / "meteragent.conf"
    file.write_text(f"[notification]\n{options}\n")
    return load([str(file)], state_dir=str(folder)).conf


def refusal(url: str, conf: Any) -> str:
    """What a URL is refused with, behind its name."""
    with pytest.raises(ConfigError) as caught:
        destination(url, conf)
    assert "pw" not in str(caught.value)
    return str(caught.value).partition("': ")[2]


def test_a_host_is_enough(conf: Any) -> None:
    """All else is as with the ancestor."""
    assert destination(HOST, conf) == Destination(
        "amqp://u:pw@h", "amqp://u@h:5672", ["metering"], "event", "ceilometer", 30.0, "durable"
    )
    assert destination(HOST, conf).bindings.queues == ["metering.sample", "event.sample"]


def test_everything_can_be_said(conf: Any) -> None:
    """Several hosts, which share the user of the first, a virtual host, several topics."""
    url = "notifier://u:pw@h:1,h2/v?topic=a&topic=b&event_topic=c&exchange=x&timeout=5&driver=amqp&tls=true"
    assert destination(url, conf) == Destination(
        "amqps://u:pw@h:1,h2/v", "amqps://u@h:1,u@h2:5671/v", ["a", "b"], "c", "x", 5.0, "durable"
    )


@pytest.mark.parametrize("option", ["ssl=1", "tls=yes", "tls=on"])
def test_tls_may_be_asked_for_in_several_words(conf: Any, option: str) -> None:
    """Those of the ancestor, too."""
    assert destination(f"{HOST}?{option}", conf).url == "amqps://u:pw@h"
    assert destination(f"{HOST}?{option.partition('=')[0]}=0", conf).url == "amqp://u:pw@h"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("notifier:", "no host, and no [notification] messaging_urls; allowed: notifier://user:password@host"),
        ("notifier:///v", "a virtual host without a host; allowed: notifier://user"),
        ("notifier://h:0", "URL of a message bus, amqp: port 0; allowed: 1 to 65535"),
        ("notifier://u:pw@", "URL of a message bus, amqp: no host"),
        (f"{HOST}?topics=x", "?topics= is unknown; known are topic, event_topic, exchange, driver, tls, ssl, "
         "timeout, policy, max_queue_length, max_retry, per_meter_topic; perhaps: topic"),
        (f"{HOST}?topic=", "topic=''; allowed: 1 to 200 bytes of text"),
        (f"{HOST}?exchange=%0A", r"exchange='\n'; allowed: 1 to 200 bytes of text"),
        (f"{HOST}?event_topic={'ü' * 101}", "event_topic='üü"),
        (f"{HOST}?driver=kafka", "driver=kafka; allowed: rabbit, amqp"),
        (f"{HOST}?tls=perhaps", "tls=perhaps; allowed: true, false"),
        (f"{HOST}?timeout=soon", "timeout=soon; allowed: seconds from 0.1 to 600"),
        (f"{HOST}?timeout=nan", "timeout=nan; allowed: seconds from 0.1 to 600"),
        (f"{HOST}?timeout=601", "timeout=601; allowed: seconds from 0.1 to 600"),
        (f"{HOST}?policy=keep", "policy=keep; allowed: default, drop, queue"),
        (f"{HOST}?per_meter_topic=1", "per_meter_topic=1 would send each sample twice; allowed: 0."),
        ("notifier://u:pw/pw@h", "URL of a message bus, amqp: what follows the host holds an @"),
    ],
)  # fmt: skip
def test_a_url_that_cannot_be_used_is_refused_with_what_is_allowed(conf: Any, url: str, told: str) -> None:
    """In one line, and without the password."""
    assert refusal(url, conf).startswith(told)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("policy=drop&max_queue_length=5&max_retry=x", "without effect: max_queue_length, max_retry, policy"),
        ("policy=default&per_meter_topic=0", ""),
    ],
)
def test_options_of_the_ancestor_that_have_no_effect_are_named_once(
    conf: Any, caplog: pytest.LogCaptureFixture, options: str, named: str
) -> None:
    """Its default policy is what is done here."""
    with caplog.at_level(logging.WARNING):
        destination(f"{HOST}?{options}", conf)
    assert len(caplog.records) == (1 if named else 0)
    assert named in caplog.text


def test_without_a_host_the_bus_that_the_agent_listens_on_is_meant(tmp_path: Path) -> None:
    """Where it publishes to what it does not listen to."""
    conf = configured(tmp_path, "messaging_urls = rabbit://u:pw@bus/v\nmessaging_urls = amqp://other")
    assert destination("notifier://?topic=up&event_topic=up", conf).url == "rabbit://u:pw@bus/v"
    told = "no host, and the first of [notification] messaging_urls is no AMQP"
    assert refusal("notifier:", configured(tmp_path, "messaging_urls = redis://h")).startswith(told)


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("notifier:", True),
        ("notifier://bus", True),
        ("notifier://x,bus:5672/?topic=else", True),  # events would come again
        ("notifier://bus?topic=else&event_topic=else", False),
        ("notifier://bus?exchange=else", True),  # queues are called the same, and would be bound to it
        ("notifier://bus:5671", True),
        ("notifier://BUS?tls=true", True),
        ("notifier://bus/v", False),
        ("notifier://bus:5673", False),
    ],
)
def test_an_agent_does_not_publish_to_itself(tmp_path: Path, url: str, refused: bool) -> None:
    """It would read its samples, journal them and publish them again, for ever."""
    conf = configured(tmp_path, "messaging_urls = rabbit://u:pw@bus:5672/")
    if refused:
        assert refusal(url, conf).startswith("this agent would read what it publishes, for ever")
    else:
        destination(url, conf)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LocalHost:5671"])
@pytest.mark.parametrize("listened", ["amqp://localhost", "amqps://127.0.0.1", "rabbit://x,[::1]:5672"])
def test_this_machine_is_known_by_its_names(tmp_path: Path, host: str, listened: str) -> None:
    """An agent that listens there does not publish there, whichever port it uses."""
    conf = configured(tmp_path, f"messaging_urls = {listened}")
    told = refusal(f"notifier://{host}", conf)
    assert told.startswith("this agent would read what it publishes, for ever")
    assert told.endswith("publish to another bus or topic")
    destination("notifier://localhost:5673", conf)
