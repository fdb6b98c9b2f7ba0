"""Notifications as services put them on the bus, made by number, and what each is counted as.

Apart from who sends them, since the verdict on a run makes the same numbers into samples again. A number
stands in the volume of each sample of its notification, so that a stored row can be checked by itself.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

Payload = dict[str, Any]

RESOURCES = 10_000
"""How many resources the notifications of a kind tell of, in turn."""
_NUMBER = 999_999_990_001
"""Stands for the number in a body that is not yet filled in."""
_STEP = timedelta(milliseconds=72)
"""Between two notifications, so that fifty thousand are those of an hour."""
_USER, _PROJECT = "b3a0ba5e1f4c4f0c9f2f2a5d8c1e7a11", "5f8d1c0a9b7e4d6a8c2b3e4f5a6b7c8d"
_OWNER = {"tenant_id": _PROJECT, "user_id": _USER}
_AUDITED = {
    "audit_period_beginning": "2026-11-01 00:00:00",
    "audit_period_ending": "2026-12-01 00:00:00",
}
_CREATED = {"created_at": "2026-02-11T08:30:00+00:00", "launched_at": "2026-02-11T08:30:05+00:00"}

CONTEXT = {
    "user": _USER,
    "project_id": _PROJECT,
    "system_scope": None,
    "project": _PROJECT,
    "domain": None,
    "user_domain": "default",
    "project_domain": "default",
    "is_admin": False,
    "read_only": False,
    "show_deleted": False,
    "auth_token": None,
    "request_id": "req-da91b4bf-d2b5-43ae-8b66-c7752e72726d",
    "global_request_id": None,
    "resource_uuid": None,
    "roles": ["reader", "member"],
    "user_identity": f"{_USER} {_PROJECT} - default default",
    "is_admin_project": True,
}


class Kind(NamedTuple):
    """One event type, and what is counted when a notification of it comes."""

    event_type: str
    meters: Sequence[str]
    """Of the samples that the built-in definitions make of it."""
    resource: str
    """Name of the payload's field with the id of the resource."""
    volumes: Sequence[str]
    """Names of the payload's fields that are metered."""
    payload: Payload
    publisher: str


_VOLUME: Payload = {
    **_OWNER,
    **_CREATED,
    "display_name": "data-vol",
    "volume_type": "c1c1c1c1-0000-4000-8000-000000000001",
    "status": "in-use",
    "host": "cinder-1@lvm#lvm",
    "availability_zone": "nova",
    "snapshot_id": None,
    "replication_status": None,
    "replication_extended_status": None,
    "replication_driver_data": None,
    "metadata": [],
    "glance_metadata": [
        {"key": key, "value": value, "volume_id": "1f2e3d4c-5b6a-7988-a7b6-c5d4e3f20100"}
        for key, value in {"image_id": "3f2e3d4c-5b6a-7988-a7b6-c5d4e3f20300", "min_ram": "0"}.items()
    ],
    "volume_attachment": [
        {
            "server_id": "8f0e4b9e-5a0e-4b0a-9a6e-3f6d3c2b1a00",
            "attach_status": "attached",
            "mountpoint": "/dev/vdb",
            "instance_uuid": "8f0e4b9e-5a0e-4b0a-9a6e-3f6d3c2b1a00",
        }
    ],
}
_SNAPSHOT: Payload = {
    **_OWNER,
    "availability_zone": "nova",
    "volume_id": "1f2e3d4c-5b6a-7988-a7b6-c5d4e3f20100",
    "display_name": "nightly",
    "created_at": "2026-11-20T02:00:00+00:00",
    "status": "available",
    "deleted": "",
    "metadata": "{}",
}
_BACKUP: Payload = {
    **_OWNER,
    "availability_zone": "nova",
    "host": "cinder-1",
    "volume_id": "1f2e3d4c-5b6a-7988-a7b6-c5d4e3f20100",
    "display_name": "weekly",
    "created_at": "2026-11-20T02:00:00+00:00",
    "status": "available",
    "service": "cinder.backup.drivers.ceph.CephBackupDriver",
    "service_metadata": '{"base": "volume-1f2e3d4c.backup.base"}',
    "fail_reason": None,
    "parent_id": None,
    "num_dependent_backups": 0,
    "snapshot_id": None,
}
_IMAGE: Payload = {
    "name": "debian-12-generic",
    "status": "active",
    "visibility": "private",
    "owner": _PROJECT,
    "disk_format": "qcow2",
    "container_format": "bare",
    "virtual_size": 3221225472,
    "min_disk": 3,
    "min_ram": 512,
    "protected": False,
    "checksum": "d41d8cd98f00b204e9800998ecf8427e",
    "created_at": "2026-11-20T02:00:00Z",
    "updated_at": "2026-11-20T02:00:09Z",
    "deleted": False,
    "deleted_at": None,
    "tags": ["stable"],
    "properties": {
        "os_distro": "debian",
        "os_version": "12",
        "hw_disk_bus": "virtio",
        "architecture": "x86_64",
    },
}
_INSTANCE: Payload = {
    **_OWNER,
    **_AUDITED,
    **_CREATED,
    "display_name": "web-1",
    "reservation_id": "r-8w5m0q2k",
    "hostname": "web-1",
    "instance_type": "m1.small",
    "instance_type_id": 2,
    "instance_flavor_id": "42",
    "architecture": "x86_64",
    "disk_gb": 20,
    "host": "compute-7",
    "node": "compute-7.example.net",
    "availability_zone": "nova",
    "cell_name": "",
    "terminated_at": "",
    "deleted_at": "",
    "image_ref_url": "http://controller:9292/images/3f2e3d4c-5b6a-7988-a7b6-c5d4e3f20300",
    "os_type": None,
    "kernel_id": "",
    "ramdisk_id": "",
    "image_meta": {
        "base_image_ref": "3f2e3d4c-5b6a-7988-a7b6-c5d4e3f20300",
        "container_format": "bare",
        "disk_format": "qcow2",
        "min_disk": "20",
        "min_ram": "0",
    },
    "metadata": {"metering.group": "blue"},
    "state": "active",
    "state_description": "",
    "progress": "",
    "access_ip_v4": None,
    "access_ip_v6": None,
    "bandwidth": {},
}
_FLAVOR = ("vcpus", "memory_mb", "root_gb", "ephemeral_gb")

_BY_CINDER, _BY_NOVA, _BY_GLANCE = "volume.cinder-1@lvm", "compute.compute-7", "image.glance-1"
_SIZES = ["volume.size"]
SINGLE = (
    Kind("volume.exists", _SIZES, "volume_id", ["size"], {**_VOLUME, **_AUDITED}, _BY_CINDER),
    Kind("volume.resize.end", _SIZES, "volume_id", ["size"], _VOLUME, _BY_CINDER),
    Kind("volume.attach.end", _SIZES, "volume_id", ["size"], _VOLUME, _BY_CINDER),
    Kind("snapshot.create.end", ["snapshot.size"], "snapshot_id", ["volume_size"], _SNAPSHOT, _BY_CINDER),
    Kind("backup.create.end", ["backup.size"], "backup_id", ["size"], _BACKUP, _BY_CINDER),
    Kind("image.upload", ["image.size"], "id", ["size"], _IMAGE, _BY_GLANCE),
)
"""Notifications that one sample each is made of."""
MIXED = (
    *SINGLE,
    Kind(
        "compute.instance.exists",
        ["vcpus", "memory", "disk.root.size", "disk.ephemeral.size"],
        "instance_id",
        _FLAVOR,
        _INSTANCE,
        _BY_NOVA,
    ),
)
"""One of them is made into four."""
SMALL = (
    Kind(
        "l3.meter",
        ["bandwidth"],
        "label_id",
        ["bytes"],
        {
            "tenant_id": _PROJECT,
            "pkts": 100,
            "time": 300,
            "first_update": 1,
            "last_update": 2,
            "host": "net-1",
        },
        "metering.net-1",
    ),
)
"""The smallest, of 1 KB."""
SETS = {"single": SINGLE, "mixed": MIXED, "small": SMALL}


class Told(NamedTuple):
    """A sample that is to be in the store."""

    number: int
    meter: str
    resource_id: str


def told(kinds: Sequence[Kind], number: int) -> Iterator[Told]:
    """The samples of a notification; the volume of each is the number."""
    place = number % len(kinds)
    for meter in kinds[place].meters:
        yield Told(number, meter, _resource(place, number))


def message_id(run: int, number: int) -> str:
    """Of a notification; another run has others."""
    return f"{run & 0xFFFFFFFF:08x}-0000-4000-8000-{number:012x}"


class Bodies:
    """Bodies of notifications, fast: each kind is encoded once, and then only filled in."""

    def __init__(self, kinds: Sequence[Kind], run: int = 1, began: datetime | None = None) -> None:
        """
        :param run: tells the message ids of two runs apart
        :param began: the time of the first notification, an hour ago by default
        """
        self._run = run
        self._began = (began or datetime.now(UTC) - timedelta(hours=1)).replace(tzinfo=None)
        self._templates = [_template(kind) for kind in kinds]

    def body(self, number: int) -> bytes:
        """The notification of that number in an envelope of oslo.messaging."""
        place = number % len(self._templates)
        at = self._began + number * _STEP
        text = self._templates[place].replace("@message@", message_id(self._run, number))
        text = text.replace(str(_NUMBER), str(number)).replace("@resource@", _resource(place, number))
        text = text.replace("@unique@", f"{self._run & 0xFFFFFFFF:08x}{number:024x}")
        return text.replace("@at@", at.isoformat(" ", "microseconds")).encode()


def _resource(place: int, number: int) -> str:
    return f"{number % RESOURCES:08x}-5b6a-4988-a7b6-{place:012x}"


def payload(kind: Kind, resource_id: str, volume: int) -> Payload:
    """Of a notification of that kind."""
    return {kind.resource: resource_id, **kind.payload, **dict.fromkeys(kind.volumes, volume)}


def _template(kind: Kind) -> str:
    inner = {
        "message_id": "@message@",
        "publisher_id": kind.publisher,
        "event_type": kind.event_type,
        "priority": "INFO",
        "payload": payload(kind, "@resource@", _NUMBER),
        "timestamp": "@at@",
        "_unique_id": "@unique@",
        **{f"_context_{key}": value for key, value in CONTEXT.items()},
    }
    return json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(inner)})
