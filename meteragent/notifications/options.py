"""The options of what notifications become; apart, since whoever reads them needs no handler for that."""

from oslo_config import cfg

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
