"""What the ancestor's conversion of the same notifications costs; run by the Python that has it installed.

    …/bin/python benchmarks/bus_ancestor.py FILE

Its endpoints are driven in this process as its listener would drive them, from notifications that are
decoded already and into a publisher that keeps them in a list: no bus, no store. To decode and unpack an
envelope, as its bus library does it, is told beside that.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ceilometer import service
from ceilometer.pipeline.event import EventPipelineManager
from ceilometer.pipeline.sample import SamplePipelineManager
from oslo_messaging._drivers import amqp, common

_PIPELINE = """
sources: [{{name: all, {}: ["*"], sinks: [kept]}}]
sinks: [{{name: kept, publishers: ["test://"]}}]
"""


def notification(line: str) -> dict[str, Any]:
    """What its listener hands on of an envelope."""
    inner = common.deserialize_msg(json.loads(line))
    context = amqp.unpack_context(inner)
    return {
        "ctxt": context.to_dict(),
        "publisher_id": inner["publisher_id"],
        "event_type": inner["event_type"],
        "payload": inner["payload"],
        "metadata": {"message_id": inner["message_id"], "timestamp": inner["timestamp"]},
    }


def made(folder: Path) -> list[Any]:
    """Its managers of samples and of events, with its own definitions."""
    for name, what in (("pipeline", "meters"), ("event_pipeline", "events")):
        (folder / f"{name}.yaml").write_text(_PIPELINE.format(what))
    (folder / "ceilometer.conf").write_text(
        f"[DEFAULT]\npipeline_cfg_file = {folder}/pipeline.yaml\n"
        f"event_pipeline_cfg_file = {folder}/event_pipeline.yaml\n"
    )
    conf = service.prepare_service(argv=[], config_files=[str(folder / "ceilometer.conf")])
    return [SamplePipelineManager(conf), EventPipelineManager(conf)]


def drive(manager: Any, notifications: list[dict[str, Any]]) -> float:
    """Seconds of CPU to convert them, by each endpoint whose filter lets one through."""
    endpoints = [(each, getattr(each, "filter_rule", None)) for each in manager.get_main_endpoints()]
    began = time.process_time()
    for each in notifications:
        for endpoint, rule in endpoints:
            if rule is None or rule.match(
                each["ctxt"], each["publisher_id"], each["event_type"], each["metadata"], each["payload"]
            ):
                endpoint.info([each])
    return time.process_time() - began


def main() -> None:
    """Print the figures as a line of JSON."""
    lines = Path(sys.argv[1]).read_text().splitlines()
    count, began = len(lines), time.process_time()
    notifications = [notification(line) for line in lines]
    decoding = time.process_time() - began
    with tempfile.TemporaryDirectory() as folder:
        samples, events = made(Path(folder))
        meter = drive(samples, notifications)
        event = drive(events, notifications)
        kept = [manager.pipelines[0].sink.publishers[0] for manager in (samples, events)]
    figures = {
        "messages": count,
        "samples": len(kept[0].samples),
        "events": len(kept[1].events),
        "decode_us": decoding / count * 1e6,
        "samples_us": meter / count * 1e6,
        "events_us": event / count * 1e6,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
