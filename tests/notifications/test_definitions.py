"""The definitions that come with the agent: which samples and events they make of what services announce."""

import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import meteragent
from meteragent.event import DATETIME
from meteragent.notifications.base import Handler, Notification
from meteragent.notifications.declarative import event_definition, meter_definition
from meteragent.notifications.declarative.events import DeclarativeEvents
from meteragent.notifications.declarative.meters import DeclarativeMeters
from meteragent.notifications.dispatcher import Conversion, Dispatcher
from meteragent.notifications.instant import instant_of
from meteragent.notifications.reserved import Reserved
from meteragent.notifications.traits.base import TraitPlugin
from meteragent.notifications.traits.timedelta import TimedeltaTraitPlugin
from meteragent.sample import TYPES, Metadata, Sample
from tests.conformance import FOLDER as RECORDED
from tests.conformance import cases

FOLDER = Path(meteragent.__file__).parent / "notifications" / "definitions"
METERS = sorted((FOLDER / "meters.d").glob("*.yaml"))
DOCUMENTED = Path(__file__).parents[2] / "doc" / "notified_meters.rst"
EVENTS = FOLDER / "event_definitions.yaml"
TRAITS: dict[str, type[TraitPlugin]] = {"timedelta": TimedeltaTraitPlugin}
MOST_METADATA = 400
"""Bytes of JSON that are kept with a sample of what services announce below."""

Payload = dict[str, Any]
Row = tuple[Any, ...]
"""Name, type, unit, volume, resource, user and project of a sample."""

PROJECT, USER = "5d2c", "a11c"
CONTEXT = {"user_id": "context-user", "project_id": "context-project", "request_id": "req-1"}
OWNED = {"tenant_id": PROJECT, "user_id": USER}
AUDITED = {"audit_period_beginning": "2026-03-01 09:00:00", "audit_period_ending": "2026-03-01 10:30:00"}
SERVER: Payload = {
    **OWNED,
    "instance_id": "server-1",
    "display_name": "web",
    "state": "active",
    "instance_type": "m1.small",
    "instance_flavor_id": "42",
    "vcpus": 2,
    "memory_mb": 2048,
    "root_gb": 20,
    "ephemeral_gb": 0,
    "disk_gb": 20,
    "host": "node-7",
    "availability_zone": "nova",
    "created_at": "2026-03-01 09:59:50+00:00",
    "launched_at": "2026-03-01T10:00:14.250000",
    "deleted_at": "",
    "image_meta": {"base_image_ref": "image-1", "org.openstack__1__os_distro": "debian", "more": "x" * 2000},
    "metadata": {"metering.group": "blue", "note": "n" * 200},
    "fixed_ips": [{"address": "10.0.0.5", "vif_mac": "fa:16:3e:00:11:22"}] * 8,
}
VOLUME: Payload = {
    **OWNED,
    "volume_id": "volume-1",
    "display_name": "data",
    "size": 100,
    "volume_type": "ssd",
    "status": "in-use",
    "host": "storage@lvm#pool",
    "availability_zone": "nova",
    "created_at": "2026-02-11T08:30:00+00:00",
    "volume_attachment": [{"server_id": "server-1", "instance_uuid": "server-1"}],
    "glance_metadata": [{"key": "min_ram", "value": "0"}, {"key": "image_id", "value": "image-1"}],
}
SNAPSHOT: Payload = {**OWNED, "snapshot_id": "snapshot-1", "volume_id": "volume-1", "volume_size": 100}
BACKUP: Payload = {
    **OWNED,
    "backup_id": "backup-1",
    "volume_id": "volume-1",
    "size": 42,
    "display_name": "weekly",
}
CAPACITY: Payload = {
    "name_to_id": "storage@ceph#ssd",
    "type": "pool",
    "total": 1024,
    "free": 24.5,
    "allocated": 1000,
    "provisioned": 999.5,
    "virtual_free": 25,
}
IMAGE: Payload = {"id": "image-1", "name": "debian", "owner": PROJECT, "size": 358088192, "status": "active"}
SENT: Payload = {
    "image_id": "image-1",
    "bytes_sent": 358088192,
    "owner_id": PROJECT,
    "receiver_user_id": "receiver",
    "receiver_tenant_id": "receivers",
    "destination_ip": "10.0.0.7",
}
CPU: Payload = {
    "host": "node-7",
    "nodename": "node-7.example.net",
    "metrics": [
        {"name": f"cpu.{name}", "timestamp": f"2026-03-01T10:00:0{second}.5", "value": value}
        for second, (name, value) in enumerate(
            {
                "frequency": 1600,
                "user.time": 17421440000001,
                "kernel.time": 7852600000000,
                "iowait.time": 11697470000000,
                "idle.time": 1307374400000000,
                "percent": 0.5,
                "user.percent": 0.25,
                "kernel.percent": 0.125,
                "iowait.percent": 0.0625,
                "idle.percent": 0,
            }.items()
        )
    ],
}
AUDIT: Payload = {
    "typeURI": "http://schemas.dmtf.org/cloud/audit/1.0/event",
    "id": "audit-1",
    "eventType": "activity",
    "eventTime": "2026-03-01T10:00:00.970512+0000",
    "action": "authenticate",
    "outcome": "success",
    "initiator": {
        "id": USER,
        "name": "alice",
        "project_id": PROJECT,
        "host": {"address": "127.0.0.1", "agent": "curl"},
    },
    "target": {"id": "target-1", "typeURI": "service/security/account/user"},
    "observer": {"id": "observer-1", "typeURI": "service/security"},
}
OBJECT: Payload = {
    **AUDIT,
    "target": {
        "id": "AUTH_5d2c",
        "action": "get",
        "metadata": {"container": "c", "path": "/v1/AUTH_5d2c/c/o"},
    },
    "measurements": [
        {"metric": {"name": "storage.objects.outgoing.bytes", "unit": "B"}, "result": 1024},
        {"metric": {"name": "storage.api.request", "unit": "request"}, "result": 1},
    ],
}
CLUSTER: Payload = {
    "user_id": USER,
    "project_id": PROJECT,
    "resource_id": "cluster-1",
    "metrics": [
        {"name": "memory_util", "unit": "%", "value": 12.5},
        {"name": "nodes", "unit": "node", "value": 5},
    ],
}
STACK: Payload = {
    "tenant_id": PROJECT,
    "user_id": "alice",
    "user_identity": USER,
    "stack_identity": "stack-1",
    "stack_name": "shop",
    "state": "CREATE_COMPLETE",
    "create_at": "2026-03-01T10:00:00Z",
}
BALANCER: Payload = {
    "id": "balancer-1",
    "name": "front",
    "project_id": PROJECT,
    "enabled": True,
    "provider": "amphora",
    "vip": {"ip_address": "10.0.0.9", "subnet_id": "subnet-1"},
}
DATABASE: Payload = {
    **OWNED,
    **AUDITED,
    "instance_id": "database-1",
    "instance_name": "orders",
    "instance_type": "m1.small",
    "state": "active",
    "volume_size": 5,
    "region": "RegionOne",
}
ZONE: Payload = {
    **AUDITED,
    "tenant_id": PROJECT,
    "id": "zone-1",
    "name": "example.com.",
    "status": "ACTIVE",
    "ttl": 60,
}
SHARE: Payload = {
    "share_id": "share-1",
    "project_id": PROJECT,
    "user_id": USER,
    "name": "home",
    "size": 15,
    "proto": "NFS",
    "share_type_id": "type-1",
}
LABEL: Payload = {
    "tenant_id": PROJECT,
    "label_id": "label-1",
    "bytes": 123456,
    "pkts": 100,
    "host": "network-1",
}
NOVA, OWNER = ("server-1", USER, PROJECT), (USER, PROJECT)
NODE, POOL = ("node-7_node-7.example.net", None, None), ("storage@ceph#ssd", None, None)
FLAVOR: list[Row] = [
    ("vcpus", "gauge", "vcpu", 2, *NOVA),
    ("memory", "gauge", "MiB", 2048, *NOVA),
    ("disk.root.size", "gauge", "GiB", 20, *NOVA),
    ("disk.ephemeral.size", "gauge", "GiB", 0, *NOVA),
]
ROOM = {key: CAPACITY[key] for key in ("total", "free", "allocated", "provisioned", "virtual_free")}

ANNOUNCED: list[tuple[str, Payload, Sequence[Row]]] = [
    ("compute.instance.exists", SERVER, FLAVOR),
    ("compute.instance.delete.start", SERVER, FLAVOR),
    (
        "compute.instance.create.end",
        SERVER,
        [*FLAVOR, ("compute.instance.booting.time", "gauge", "sec", 24.25, *NOVA)],
    ),
    ("compute.instance.create.start", SERVER, []),
    ("compute.instance.update", SERVER, []),
    (
        "compute.metrics.update",
        CPU,
        [
            ("compute.node.cpu.frequency", "gauge", "MHz", 1600, *NODE),
            ("compute.node.cpu.user.time", "cumulative", "ns", 17421440000001, *NODE),
            ("compute.node.cpu.kernel.time", "cumulative", "ns", 7852600000000, *NODE),
            ("compute.node.cpu.iowait.time", "cumulative", "ns", 11697470000000, *NODE),
            ("compute.node.cpu.idle.time", "cumulative", "ns", 1307374400000000, *NODE),
            ("compute.node.cpu.percent", "gauge", "percent", 50.0, *NODE),
            ("compute.node.cpu.user.percent", "gauge", "percent", 25.0, *NODE),
            ("compute.node.cpu.kernel.percent", "gauge", "percent", 12.5, *NODE),
            ("compute.node.cpu.iowait.percent", "gauge", "percent", 6.25, *NODE),
            ("compute.node.cpu.idle.percent", "gauge", "percent", 0, *NODE),
        ],
    ),
    *(
        (f"volume.{action}", VOLUME, [("volume.size", "gauge", "GiB", 100, "volume-1", *OWNER)])
        for action in ("exists", "retype", "create.end", "resize.end", "detach.start", "manage.end")
    ),
    ("snapshot.create.end", SNAPSHOT, [("snapshot.size", "gauge", "GiB", 100, "snapshot-1", *OWNER)]),
    ("backup.restore.end", BACKUP, [("backup.size", "gauge", "GiB", 42, "backup-1", *OWNER)]),
    (
        "capacity.pool.ssd",
        CAPACITY,
        [(f"volume.provider.pool.capacity.{of}", "gauge", "GiB", ROOM[of], *POOL) for of in ROOM],
    ),
    (
        "capacity.backend.ceph",
        CAPACITY,
        [(f"volume.provider.capacity.{of}", "gauge", "GiB", ROOM[of], *POOL) for of in ROOM],
    ),
    ("image.upload", IMAGE, [("image.size", "gauge", "B", 358088192, "image-1", None, PROJECT)]),
    (
        "image.send",
        SENT,
        [
            ("image.serve", "delta", "B", 358088192, "image-1", None, PROJECT),
            ("image.download", "delta", "B", 358088192, "image-1", "receiver", "receivers"),
        ],
    ),
    ("l3.meter", LABEL, [("bandwidth", "delta", "B", 123456, "label-1", None, PROJECT)]),
    (
        "objectstore.http.request",
        OBJECT,
        [
            ("storage.objects.outgoing.bytes", "delta", "B", 1024, "AUTH_5d2c", *OWNER),
            ("storage.api.request", "delta", "request", 1, "AUTH_5d2c", *OWNER),
        ],
    ),
    *(
        (
            f"magnum.{cluster}.metrics.update",
            CLUSTER,
            [
                ("memory_util", "gauge", "%", 12.5, "cluster-1", *OWNER),
                ("nodes", "gauge", "node", 5, "cluster-1", *OWNER),
            ],
        )
        for cluster in ("bay", "cluster")
    ),
    *(
        (
            f"orchestration.stack.{action}.end",
            STACK,
            [(f"stack.{action}", "delta", "stack", 1, "stack-1", *OWNER)],
        )
        for action in ("create", "update", "delete", "suspend", "resume")
    ),
    ("orchestration.stack.create.start", STACK, []),
    *(
        (
            f"octavia.loadbalancer.{action}.end",
            BALANCER,
            [
                (
                    f"network.services.lb.loadbalancer.{action}",
                    "delta",
                    "loadbalancer",
                    1,
                    "balancer-1",
                    "context-user",
                    PROJECT,
                )
            ],
        )
        for action in ("create", "update", "delete")
    ),
    ("identity.authenticate", AUDIT, [("identity.authenticate.success", "delta", "user", 1, USER, *OWNER)]),
    (
        "trove.instance.exists",
        DATABASE,
        [("trove.instance.exists", "cumulative", "s", 5400.0, "database-1", *OWNER)],
    ),
    ("trove.instance.create", DATABASE, []),
    (
        "dns.domain.exists",
        ZONE,
        [("dns.domain.exists", "cumulative", "s", 5400.0, "zone-1", "context-user", PROJECT)],
    ),
    ("dns.zone.exists", ZONE, []),
    ("share.extend.end", SHARE, [("manila.share.size", "gauge", "GiB", 15, "share-1", *OWNER)]),
]
BY_TYPE = {event_type: payload for event_type, payload, _ in ANNOUNCED}

TOLD: list[tuple[str, Payload, Payload]] = [
    (
        "compute.instance.exists",
        {**SERVER, **AUDITED},
        {
            "service": "compute",
            "host": "node-7.example.net",
            "project_id": PROJECT,
            "resource_id": "server-1",
            "vcpus": 2,
            "os_distro": "debian",
            "launched_at": instant_of("2026-03-01T10:00:14.25Z"),
            "audit_period_ending": instant_of("2026-03-01T10:30:00Z"),
        },
    ),
    ("compute.instance.update", {**SERVER, "old_state": "building"}, {"old_state": "building", "vcpus": 2}),
    ("compute.instance.create.end", SERVER, {"availability_zone": "nova", "state": "active"}),
    (
        "volume.transfer.accept.end",
        VOLUME,
        {"resource_id": "volume-1", "size": 100, "image_id": "image-1", "instance_id": "server-1"},
    ),
    ("snapshot.delete.start", SNAPSHOT, {"resource_id": "snapshot-1", "volume_id": "volume-1"}),
    ("backup.create.end", BACKUP, {"resource_id": "backup-1", "size": 42}),
    ("image.update", IMAGE, {"resource_id": "image-1", "project_id": PROJECT, "user_id": "context-user"}),
    ("image.send", SENT, {"bytes_sent": 358088192, "receiver_project": "receivers"}),
    ("image_volume_cache.hit", {"image_id": "image-1", "host": "storage"}, {"image_id": "image-1"}),
    ("share.create.end", SHARE, {"share_id": "share-1", "size": 15, "proto": "NFS"}),
    (
        "router.update.end",
        {"router": {"id": "router-1", "name": "way", "tenant_id": PROJECT}},
        {"resource_id": "router-1", "name": "way", "project_id": PROJECT},
    ),
    ("port.delete.end", {"port_id": "port-1"}, {"resource_id": "port-1", "project_id": "context-project"}),
    (
        "octavia.loadbalancer.create.end",
        BALANCER,
        {"resource_id": "balancer-1", "vip_address": "10.0.0.9", "admin_state_up": "True"},
    ),
    (
        "octavia.loadbalancer.update.end",
        {"loadbalancer_id": "balancer-2", "vip_address": "10.0.0.8"},
        {"resource_id": "balancer-2", "vip_address": "10.0.0.8", "project_id": "context-project"},
    ),
    ("orchestration.stack.create.end", STACK, {"resource_id": "stack-1", "name": "shop", "user_id": USER}),
    ("dns.domain.update", ZONE, {"resource_id": "zone-1", "ttl": "60"}),
    (
        "dns.zone.exists",
        ZONE,
        {"name": "example.com.", "audit_period_beginning": instant_of("2026-03-01T09:00Z")},
    ),
    ("trove.instance.create", DATABASE, {"resource_id": "database-1", "volume_size": 5}),
    ("trove.instance.exists", DATABASE, {"instance_name": "orders"}),
    (
        "identity.authenticate",
        AUDIT,
        {
            "outcome": "success",
            "initiator_host_addr": "127.0.0.1",
            "eventTime": instant_of(AUDIT["eventTime"]),
        },
    ),
    (
        "identity.user.created",
        {"resource_info": "user-1"},
        {"resource_id": "user-1", "user_id": "context-user"},
    ),
    ("identity.role_assignment.created", {"role": "reader", "user": USER}, {"role": "reader", "user": USER}),
    ("objectstore.http.request", OBJECT, {"target_action": "get", "target_metadata_container": "c"}),
    ("audit.http.request", AUDIT, {"user_id": USER, "project_id": PROJECT, "initiator_name": "alice"}),
    (
        "audit.http.response",
        {**AUDIT, "reason": {"reasonCode": "200"}},
        {"reason_code": "200", "id": "audit-1"},
    ),
    ("magnum.cluster.create", AUDIT, {"target_id": "target-1", "initiator_host_agent": "curl"}),
    ("alarm.creation", {"alarm_id": "alarm-1", "severity": "low"}, {"id": "alarm-1", "severity": "low"}),
    (
        "profiler.keystone",
        {"service": "main", "info": {"request": {"path": "/v3"}, "db": {"statement": "SELECT 1"}}},
        {"service": "main", "path": "/v3", "db.statement": "SELECT 1"},
    ),
    (
        "something.else",
        OWNED,
        {"service": "compute.node-7.example.net", "request_id": "req-1", "user_id": USER},
    ),
]


@cache
def dispatcher() -> Dispatcher:
    """One with the definitions as they are shipped."""
    handlers: dict[str, Handler] = {
        "meters": DeclarativeMeters(meters(METERS)[0]),
        "events": DeclarativeEvents(event_definition.load(EVENTS.read_text(), EVENTS.name, TRAITS)[0]),
    }
    return Dispatcher(handlers)


def meters(paths: list[Path]) -> tuple[list[Any], list[str]]:
    """The definitions of meters in some files, and what is wrong with them."""
    return meter_definition.load([(path.name, path.read_text()) for path in paths], TRAITS, Reserved())


def announced(event_type: str, payload: Any) -> Notification:
    """What a service announces, as it is listened to."""
    return Notification(
        {
            "event_type": event_type,
            "publisher_id": "compute.node-7.example.net",
            "payload": payload,
            "ctxt": CONTEXT,
            "metadata": {"message_id": "message-1", "timestamp": "2026-03-01 10:00:20.616624"},
        }
    )


def converted(event_type: str, payload: Any) -> Conversion:
    """What becomes of it."""
    return dispatcher().dispatch(announced(event_type, payload))


def row(sample: Sample) -> Row:
    """What is billed from."""
    return (
        sample.name,
        sample.type,
        sample.unit,
        sample.volume,
        sample.resource_id,
        sample.user_id,
        sample.project_id,
    )


def kept(sample: Sample) -> bytes:
    """The metadata that is stored with it."""
    assert isinstance(sample.resource_metadata, Metadata)
    return sample.resource_metadata.json


def written(paths: list[Path]) -> Iterator[dict[str, Any]]:
    """The definitions of meters as they stand in the files."""
    for path in paths:
        yield from yaml.safe_load(path.read_text())["metric"]


@pytest.mark.parametrize("path", METERS, ids=lambda path: path.stem)
def test_each_file_of_meters_loads_and_says_what_its_service_announces(path: Path) -> None:
    """No definition is skipped or warned of; the file begins with a comment of some length."""
    definitions, problems = meters([path])
    assert not problems
    assert len(definitions) == len(list(written([path])))
    comment = re.match(r"(#.*\n)*", path.read_text())
    assert comment
    assert comment[0].count("\n") >= 3


@pytest.mark.parametrize("path", METERS, ids=lambda path: path.stem)
def test_each_definition_has_a_type_a_unit_and_a_resource_and_selects_its_metadata(path: Path) -> None:
    """Without ``metadata`` the whole payload would be kept with each sample."""
    for definition in written([path]):
        assert definition["type"] in TYPES
        assert all(definition[key] for key in ("unit", "resource_id", "metadata"))


def test_no_meter_is_defined_twice() -> None:
    """Whichever files are loaded together, each definition counts."""
    names = [definition["name"] for definition in written(METERS)]
    assert len(names) == len(set(names))
    definitions, problems = meters(METERS)
    assert not problems
    assert len(definitions) == len(names)


def test_the_events_load() -> None:
    """No definition is skipped or warned of."""
    definitions, problems = event_definition.load(EVENTS.read_text(), EVENTS.name, TRAITS)
    assert not problems
    assert len(definitions) == len(yaml.safe_load(EVENTS.read_text()))


@pytest.mark.parametrize(("event_type", "payload", "rows"), ANNOUNCED, ids=[each[0] for each in ANNOUNCED])
def test_what_a_service_announces_is_metered(event_type: str, payload: Payload, rows: Sequence[Row]) -> None:
    """Name, type, unit, volume, resource, user and project of each sample, and no other sample."""
    conversion = converted(event_type, payload)
    assert not conversion.problems
    found = [row(sample) for sample in conversion.samples]
    assert sorted(found, key=repr) == sorted(rows, key=repr)
    assert all(type(one[3]) is type(other[3]) for one, other in zip(sorted(found), sorted(rows), strict=True))


def test_each_definition_is_seen_at_work() -> None:
    """What services announce above makes every shipped definition yield a sample."""
    notifications = [announced(event_type, payload) for event_type, payload in BY_TYPE.items()]
    for definition in meters(METERS)[0]:
        handler = DeclarativeMeters([definition])
        assert any(list(handler.convert(each, [])) for each in notifications), definition.name


def test_the_table_in_the_documentation_is_of_these_definitions() -> None:
    """Name, type and unit of each meter; names that are found in the message stand there in words."""
    page = DOCUMENTED.read_text()
    rows = re.findall(r"\* - (.*)\n +- (.*)\n +- (.*)\n", page.partition("Event types\n")[2])
    told = {(name.strip("`"), kind, unit) for name, kind, unit in rows}
    named = {
        (each["name"], each["type"], each["unit"]) for each in written(METERS) if "$" not in each["name"]
    }
    assert named <= told
    in_words = {"name of the measurement", "identity.authenticate.<outcome>"}
    rest = {name for name, _, _ in told - named} - in_words
    assert all(name.startswith("storage.") for name in rest)


@pytest.mark.parametrize("event_type", BY_TYPE)
def test_little_of_a_payload_is_kept_with_each_sample(event_type: str) -> None:
    """The handful of fields that matter, however large the payload is."""
    for sample in converted(event_type, BY_TYPE[event_type]).samples:
        assert len(kept(sample)) <= MOST_METADATA


def test_an_instance_keeps_its_flavor_place_and_tags() -> None:
    """Those that it is billed by, and of its own attributes the reserved ones alone."""
    sample = converted("compute.instance.exists", SERVER).samples[0]
    assert json.loads(kept(sample)) == {
        "display_name": "web",
        "state": "active",
        "flavor_id": "42",
        "flavor_name": "m1.small",
        "host": "node-7",
        "availability_zone": "nova",
        "image_ref": "image-1",
        "launched_at": "2026-03-01T10:00:14.250000",
        "user_metadata": {"group": "blue"},
    }


def test_a_pool_tells_its_back_end() -> None:
    """The part of its name before the pool."""
    sample = converted("capacity.pool.ssd", CAPACITY).samples[0]
    assert json.loads(kept(sample)) == {"provider": "storage@ceph"}


def test_measurements_of_a_host_keep_their_own_times() -> None:
    """Each measurement of the list has one."""
    times = {each.name: each.timestamp for each in converted("compute.metrics.update", CPU).samples}
    assert times["compute.node.cpu.frequency"] == instant_of("2026-03-01T10:00:00.5Z")
    assert times["compute.node.cpu.idle.percent"] == instant_of("2026-03-01T10:00:09.5Z")


@settings(deadline=None)
@given(st.sampled_from([each for each in BY_TYPE if each != "identity.authenticate"]), st.data())
def test_what_a_payload_lacks_is_not_made_up(event_type: str, data: st.DataObject) -> None:
    """With fields missing or null, the samples are some of those of the whole payload."""
    whole = BY_TYPE[event_type]
    lacking = data.draw(st.sets(st.sampled_from(sorted(whole))))
    left = {key: value for key, value in whole.items() if key not in lacking}
    payload = {**left, **dict.fromkeys(data.draw(st.sets(st.sampled_from(sorted(whole)))))}
    expected = {row(sample)[:5] for sample in converted(event_type, whole).samples}
    assert {row(sample)[:5] for sample in converted(event_type, payload).samples} <= expected


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.sampled_from(list(BY_TYPE)), st.data())
def test_a_payload_with_anything_in_it_is_converted(event_type: str, data: st.DataObject) -> None:
    """Nothing is raised, and each sample has a resource and a number."""
    whole = BY_TYPE[event_type]
    payload = {**whole, **data.draw(st.dictionaries(st.sampled_from(sorted(whole)), ANY))}
    for sample in converted(event_type, payload).samples:
        assert isinstance(sample.resource_id, str)
        assert type(sample.volume) in (int, float)


@pytest.mark.parametrize(("event_type", "payload", "traits"), TOLD, ids=[each[0] for each in TOLD])
def test_what_a_service_announces_becomes_an_event(
    event_type: str, payload: Payload, traits: Payload
) -> None:
    """With the traits that are its own, and those that every event has."""
    conversion = converted(event_type, payload)
    assert not conversion.problems
    (event,) = conversion.events
    assert event.event_type == event_type
    found = {trait.name: trait.value for trait in event.traits}
    assert {name: found.get(name) for name in traits} == traits
    assert {"service", "request_id", "project_id", "user_id", "tenant_id"} <= set(found)


def test_what_is_metered_is_as_recorded() -> None:
    """Of each recorded payload the same samples as with the ancestor's own definitions, owners included."""
    for case in shipped("meters.jsonl"):
        conversion = dispatcher().dispatch(Notification(case["notification"], case["priority"]))
        assert not conversion.problems
        fields = ("name", "type", "unit", "volume", "resource_id", "user_id", "project_id")
        expected = {tuple(sample[field] for field in fields) for sample in case["expected"]["samples"]}
        assert {row(sample) for sample in conversion.samples} == expected, case["id"]


def test_the_traits_are_as_recorded_or_more() -> None:
    """Each trait that the ancestor's own definitions give an event, but for the rule below."""
    for case in shipped("events.jsonl"):
        (event,) = dispatcher().dispatch(Notification(case["notification"], case["priority"])).events
        found = {trait.name: (trait.kind, trait.value) for trait in event.traits}
        for trait in case["expected"]["event"]["traits"]:
            value = trait["value"]
            if trait["dtype"] == DATETIME:
                value = instant_of(value["$datetime"])
            if not takes_a_project_for_a_user(case, trait["name"]):
                assert found[trait["name"]] == (trait["dtype"], value), case["id"]


def takes_a_project_for_a_user(case: dict[str, Any], trait: str) -> bool:
    """The owner of an image is a project, which the ancestor tells as its user; here the context tells."""
    return trait == "user_id" and case["notification"]["event_type"].startswith("image.")


def shipped(name: str) -> list[dict[str, Any]]:
    """The recorded cases with payloads as services send them and the definitions that the ancestor ships."""
    return [case for case in cases(name) if case["kind"] == "shipped-base"]


def test_the_ancestors_own_file_takes_the_place_of_these() -> None:
    """Of a definition that it has, too, this one does not count, or everything would be metered twice."""
    cases("meters.jsonl")
    theirs = RECORDED / "definitions" / "meters.yaml"
    files = [(path.name, path.read_text()) for path in (theirs, *METERS)]
    both = Dispatcher({"meters": DeclarativeMeters(meter_definition.load(files, TRAITS, Reserved())[0])})
    for event_type, payload, rows in ANNOUNCED:
        samples = both.dispatch(announced(event_type, payload)).samples
        assert len({row(sample)[:5] for sample in samples}) == len(samples) <= len(rows)
