"""The options of notifications: where they come from and what becomes of them.

Apart, since whoever reads them needs no handler and no bus for that.
"""

from collections.abc import Sequence

from oslo_config import cfg

from meteragent.notifications.base import PRIORITIES

METER_DEFINITIONS, EVENT_DEFINITIONS = "meters.d", "event_definitions.yaml"
"""Folder and document that are looked up in the config folders, unless the options say others."""

RESERVED_OPTS = [
    cfg.ListOpt(
        "reserved_metadata_namespace",
        default=["metering."],
        help="Beginnings of the names of attributes that users give their resources and that are kept in "
        "samples, separated by commas. What is kept stands in user_metadata without that beginning, its "
        "dots made underscores.",
    ),
    cfg.ListOpt(
        "reserved_metadata_keys",
        default=[],
        help="Full names of further attributes that users give their resources and that are kept in "
        "samples, separated by commas.",
    ),
    cfg.IntOpt(
        "reserved_metadata_length",
        default=256,
        min=0,
        help="Characters of text that are kept of an attribute that a user gives a resource.",
    ),
]
"""Options of the group ``DEFAULT``."""

METER_OPTS = [
    cfg.MultiStrOpt(
        "meter_definitions_dirs",
        default=[METER_DEFINITIONS],
        help="Folder whose files, those that end in .yaml, say which samples are made of which "
        "notifications. May be given more than once; of definitions with one name the one in the earlier "
        "folder counts. A relative name is looked up in the config folders. With the default, the built-in "
        "definitions count, too, where the folder has none of their name.",
    ),
]
"""Options of the group ``meter``."""

EVENT_OPTS = [
    cfg.StrOpt(
        "definitions_cfg_file",
        default=EVENT_DEFINITIONS,
        regex=r"\S",
        help="YAML document that says which events are made of which notifications. A relative name is "
        "looked up in the config folders; without a file of the default name, a built-in document holds.",
    ),
    cfg.BoolOpt(
        "drop_unmatched_notifications",
        default=False,
        help="Make no events of notifications that no definition matches. Without it, their events have the "
        "default traits alone.",
    ),
    cfg.MultiStrOpt(
        "store_raw",
        default=[],
        help="Priority, info or error, of the notifications that are kept as a whole with their events. May "
        "be given more than once.",
    ),
]
"""Options of the group ``event``."""

NOTIFICATION_OPTS = [
    cfg.MultiStrOpt(
        "messaging_urls",
        default=[],
        secret=True,
        help="URL of a message bus to listen on, as rabbit://user:password@host:5672/virtual_host. May be "
        "given more than once. Several brokers of one bus stand in one URL, separated by commas, as in the "
        "transport_url of the services. Without any, the agent listens to no notifications.",
    ),
    cfg.ListOpt(
        "topics",
        default=["notifications", "metering", "event"],
        help="Topics to listen to, separated by commas. A queue is read for each topic and priority, whose "
        "name is <topic>.<priority>.",
    ),
    cfg.ListOpt(
        "exchanges",
        default=[
            "nova",
            "glance",
            "neutron",
            "cinder",
            "heat",
            "keystone",
            "trove",
            "zaqar",
            "swift",
            "ceilometer",
            "magnum",
            "dns",
            "ironic",
            "aodh",
            "octavia",
            "openstack",
        ],
        help="Exchanges that the services send their notifications to, separated by commas: the "
        "control_exchange of each. Every queue is bound to all of them. One that is missing is not made, but "
        "looked for again, after 10 seconds at first and 10 minutes in the end, and bound when its service "
        "has made it. Only ceilometer, to which agents send, is made, of the kind that queue_type says.",
    ),
    cfg.ListOpt(
        "priorities",
        default=[*PRIORITIES],
        help="Priorities to listen to, separated by commas.",
    ),
    cfg.StrOpt(
        "queue_type",
        default="durable",
        choices=[
            ("durable", "outlives its broker"),
            ("quorum", "outlives its broker, and is kept by several of a cluster"),
            ("transient", "ends with its broker"),
        ],
        help="What queues that are missing are made as, and the exchange ceilometer. It must be as the "
        "services make their queues, durable where their amqp_durable_queues is true, quorum where their "
        "rabbit_quorum_queue is, too, and transient otherwise: a service that finds a queue of another kind "
        "cannot notify. What exists is used as it is.",
    ),
    cfg.IntOpt(
        "batch_size",
        default=500,
        min=1,
        max=100_000,
        help="Messages that are taken in at once, at most. A batch ends at 16 MiB, too.",
    ),
    cfg.FloatOpt(
        "batch_timeout",
        default=1.0,
        min=0.0,
        max=60.0,
        help="Seconds that a batch is waited for to become full.",
    ),
    cfg.IntOpt(
        "prefetch",
        min=1,
        max=65_535,
        sample_default="<twice batch_size>",
        help="Messages that a broker sends ahead of their acknowledgement. Without it, twice batch_size, at "
        "most 65535.",
    ),
    cfg.FloatOpt(
        "conversion_timeout",
        default=60.0,
        min=0.1,
        max=3600.0,
        help="Seconds that the handlers may take for one message. One that takes longer is quarantined.",
    ),
    cfg.StrOpt(
        "tls_ca_file",
        default="",
        help="File with the certificates of the authorities that a broker's certificate may come from, PEM. "
        "Without it, those that the system trusts. It counts for URLs with TLS: amqps, rediss and "
        "those that end in ?ssl=true.",
    ),
    cfg.StrOpt(
        "tls_cert_file",
        default="",
        help="File with the certificate that is shown to brokers that ask for one, PEM.",
    ),
    cfg.StrOpt(
        "tls_key_file",
        default="",
        help="File with the key of that certificate, PEM. Without it, the key stands in tls_cert_file.",
    ),
    cfg.IntOpt(
        "heartbeat",
        default=30,
        min=1,
        max=3600,
        help="Seconds between signs of life on a connection. One on which none came for twice as long is "
        "made anew. A broker may ask for fewer.",
    ),
]
"""Options of the group ``notification``."""

GROUPS: list[tuple[str, Sequence[cfg.Opt]]] = [
    ("event", EVENT_OPTS),
    ("meter", METER_OPTS),
    ("notification", NOTIFICATION_OPTS),
]
