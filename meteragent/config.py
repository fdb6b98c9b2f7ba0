"""The options of all stages, gathered and read; apart, so that no stage knows where they are written."""

import logging
import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oslo_config import cfg

from meteragent import config_folders, label_groups, option_faults, signing, state_folder
from meteragent.config_files import Options, Places, check_link, read_files, read_text
from meteragent.errors import ConfigError, MeteragentError, NotFound
from meteragent.journal import journal
from meteragent.notifications import options
from meteragent.plain import without_password
from meteragent.plugins import choice, option
from meteragent.plugins.catalog import GROUPS
from meteragent.plugins.confined import options as isolation
from meteragent.plugins.option import Values
from meteragent.pollsters import ceilometer, limits

LOG = logging.getLogger(__name__)

PROJECT = "meteragent"
BUILT_IN = ("polling.yaml", "pipeline.yaml")
"""Documents that have a built-in text for when no config folder holds one of this name."""
A_CENTURY = 100 * 366 * 86400

DEFAULT_OPTS = [
    cfg.StrOpt(
        "host",
        default=socket.gethostname(),
        sample_default="<name of this host>",
        regex=r"^\S+$",
        help="Name of this host. The resource ids of host pollsters start with it, and it spreads the "
        "polls of several hosts over the interval.",
    ),
    cfg.StrOpt(
        "sample_source",
        default="openstack",
        regex=r"\S",
        help="Origin domain of the samples that this agent makes. It is a part of their identity, so "
        "changing it begins new series.",
    ),
    cfg.StrOpt(
        "pipeline_cfg_file",
        default="pipeline.yaml",
        regex=r"\S",
        help="YAML document that says which samples go to which sinks. A relative name is looked up in "
        "the config folders.",
    ),
    cfg.BoolOpt("debug", default=False, help="Log debug messages, too."),
]

POLLING_OPTS = [
    cfg.ListOpt(
        "namespaces",
        default=["host"],
        help="Namespaces of the pollsters to load, separated by commas. Each stands for the entry points "
        "of the group meteragent.poll.<namespace>.",
    ),
    cfg.StrOpt(
        "cfg_file",
        default="polling.yaml",
        regex=r"\S",
        help="YAML document that says what is polled and how often. A relative name is looked up in the "
        "config folders.",
    ),
]

STORAGE_OPTS = [
    cfg.StrOpt(
        "connection",
        default="sqlite:///samples.db",
        secret=True,
        regex=r"^[a-z][a-z0-9+.-]*:",
        help="URL of the store. Its scheme chooses the storage driver. A relative path lies below the "
        "state folder.",
    ),
    cfg.IntOpt(
        "retention",
        default=0,
        min=0,
        max=A_CENTURY,
        help="Seconds that samples are kept. 0 keeps them for ever.",
    ),
    cfg.IntOpt(
        "query_timeout",
        default=60,
        min=1,
        max=86400,
        help="Seconds that the answer to one question to the store may take.",
    ),
]

AGENT_OPTS = [
    cfg.StrOpt(
        "id",
        regex=r"^\S+$",
        help="Id of this agent, different from that of any other agent that writes to the same store. "
        "Without it, one is made at the first start and kept in the state folder.",
    ),
    cfg.StrOpt(
        "state_dir",
        help="Absolute path of the folder that holds the journal and the embedded store. The argument "
        "--state-dir wins over it. Without both it is /var/lib/meteragent for root, and for others "
        "meteragent below $XDG_STATE_HOME or ~/.local/state.",
    ),
    cfg.IntOpt(
        "account_interval",
        default=300,
        min=1,
        max=86400,
        help="Seconds between the lines of account that `meteragent run` prints, of which the first come "
        "sooner.",
    ),
]


def list_opts() -> list[tuple[str, Sequence[cfg.Opt]]]:
    """Every option by its group; what ``oslo-config-generator --namespace meteragent`` prints."""
    return [
        ("DEFAULT", [*DEFAULT_OPTS, *options.RESERVED_OPTS]),
        ("agent", AGENT_OPTS),
        *options.GROUPS,
        (isolation.GROUP, isolation.OPTS),
        ("journal", journal.OPTS),
        ("plugins", choice.OPTS),
        ("polling", [*POLLING_OPTS, *limits.OPTS, *ceilometer.OPTS]),
        ("publisher", signing.OPTS),
        ("storage", STORAGE_OPTS),
    ]


@dataclass(frozen=True)
class Settings:
    """What the agent and the commands are told."""

    conf: cfg.ConfigOpts
    state_dir: Path
    """Absolute; need not exist."""
    places: Places = field(default_factory=dict, repr=False)
    """Where the options in the files are written."""

    @property
    def others(self) -> Mapping[tuple[str, str], str]:
        """By group and name the options in the files that only plugins may read, as written."""
        ours = {group for group, _ in list_opts()}
        return {key: place.text for key, place in self.places.items() if key[0] not in ours}

    @property
    def given(self) -> Mapping[str, Any]:
        """What every plugin may name as an argument of its constructor, whatever kind it is of."""
        return {"conf": self.conf, "host": self.host, "state_dir": self.state_dir}

    def options(self, label: str) -> Values:
        """The values of the options of a plugin, as far as its source tells them.

        :raises NotFound: when it is not installed
        :raises ConfigError: when a value cannot be used
        """
        for found in label_groups.meant(self.conf, [label.lower()]):
            return option.values(self.conf, found)
        raise NotFound(f"no plugin {label!r:.80} is installed")

    def error(self, group: str, name: str, told: str | MeteragentError) -> ConfigError:
        """What is to be told of an option of ours, with its place, without a password."""
        opt = next(opt for opt in dict(list_opts())[group] if opt.dest == name)
        fault = option_faults.error(group, opt, self.places, without_password(str(told)))
        fault.suggestion = getattr(told, "suggestion", "")  # which the message has already
        return fault

    @property
    def host(self) -> str:
        """Name of this host."""
        return str(self.conf.host)

    def document(self, name: str, default: str, option: str = "") -> tuple[str, str]:
        """Text of a YAML document, and the name of its file to show in messages.

        The folders of ``--config-dir`` are searched first, then those of the config files, then
        the default ones.

        :param name: as the option says it
        :param default: text for a document that is found nowhere and whose option says the default name
        :param option: the option, for messages
        :raises ConfigError: when it is missing, or no readable UTF-8 text
        """
        for folder in self.folders:
            check_link(folder / os.path.expanduser(name))
        beside = (folder / os.path.expanduser(name) for folder in self.folders)
        # oslo.config looks there, too, but not where it could not read the files
        path = next((str(file) for file in beside if os.path.exists(file)), None) or self.conf.find_file(
            os.path.expanduser(name)
        )
        if path is not None:
            return read_text(path), path
        if name in BUILT_IN:
            return default, f"built-in {name}"
        told = f"{option} = {name!r}" if option else repr(name)
        if os.path.isabs(name):
            raise ConfigError(f"{told} is not there")
        raise ConfigError(
            f"{told} is not there; looked for in the folders of the config files, then in {_DEFAULT_FOLDERS}"
        )

    @property
    def folders(self) -> list[Path]:
        """Those of ``--config-dir``, then those of the config files, the last one first."""
        files = [Path(os.path.expanduser(file)).parent for file in reversed(self.conf.config_file or ())]
        return [Path(os.path.expanduser(folder)) for folder in self.conf.config_dir or ()] + files

    def make_state_dir(self) -> Path:
        """The state folder, made for this user alone where it is missing.

        :raises ConfigError: when it cannot be made
        """
        return state_folder.make(self.state_dir)


_DEFAULT_FOLDERS = ", ".join(config_folders.places(PROJECT))


def load(
    config_files: Sequence[str] = (), config_dirs: Sequence[str] = (), state_dir: str | None = None
) -> Settings:
    """Read all options from these files, then from the ``*.conf`` files of these folders; later ones win.

    Without files, ``meteragent.conf`` is looked for in the default folders.

    :param state_dir: wins over what any file says
    :raises ConfigError: naming the option, its value, what is allowed, and the file
    """
    found = read(config_files, config_dirs, state_dir)
    for fault in found.faults:
        raise fault
    for remark in found.remarks:
        LOG.warning("%s", remark)
    return found.settings


@dataclass(frozen=True)
class Reading:
    """The options, and all that is wrong with them."""

    settings: Settings
    """With the default where a value is at fault, and without the files that cannot be parsed."""
    state_dir: str | None
    """What the argument says."""
    files: list[str]
    faults: list[ConfigError]
    remarks: list[ConfigError]
    """What was taken although it is hardly what was meant."""
    labels: option_faults.Groups = ()
    """The groups in the files that hold options of plugins, as far as those are known."""


def read(
    config_files: Sequence[str] = (), config_dirs: Sequence[str] = (), state_dir: str | None = None
) -> Reading:
    """The same as ``load``, but every fault is noted and none is raised.

    :raises ConfigError: when there is no folder to keep state in
    """
    default_files = list(dict.fromkeys(cfg.find_config_files(PROJECT, PROJECT)))
    default_dirs = list(dict.fromkeys(cfg.find_config_dirs(PROJECT, PROJECT)))
    used_files, used_dirs = config_files or default_files, config_dirs or default_dirs
    faults: list[ConfigError] = []
    files = [
        *config_folders.files(() if config_files else used_files, () if config_dirs else used_dirs, faults),
        *config_folders.files(config_files, config_dirs, faults),
    ]
    written = read_files(files)
    faults += written.faults
    conf = Options(written.places)
    for group, opts in list_opts():
        conf.register_opts(opts, group=None if group == "DEFAULT" else group)
    broken = {fault.file for fault in faults}
    try:
        if not faults:
            _parse(conf, config_files, config_dirs, default_files, default_dirs)
        else:
            _parse(conf, (), (), [file for file in files if file not in broken], [])
            conf.set_override("config_file", list(used_files))
            conf.set_override("config_dir", list(used_dirs))
    except (cfg.Error, OSError, UnicodeDecodeError) as error:
        faults.append(ConfigError(str(error)))
    faults += option_faults.of_values(conf, list_opts(), written.places, broken)
    labels, of_labels, unknown = label_groups.read(conf, written.places, broken)
    faults += of_labels
    remarks = [*option_faults.remarks(list_opts(), written), *unknown]
    if not config_files and not config_dirs:
        remarks += config_folders.hidden(PROJECT)
    try:
        folder = _state_dir(conf, written.places, state_dir)
    except ConfigError as error:
        faults.append(error)
        folder = state_folder.default(PROJECT)
    settings = Settings(conf, folder, written.places)
    faults += _of_plugins(settings)
    return Reading(settings, state_dir, files, faults, remarks, labels)


def _of_plugins(settings: "Settings") -> Iterator[ConfigError]:
    """What is wrong with the options that say which plugins are used."""
    conf = settings.conf
    for name in choice.PATTERNS:
        try:
            choice.check_patterns(name, conf.plugins[name], GROUPS)
        except ConfigError as error:
            yield settings.error("plugins", name, error)
    try:
        ceilometer.check_namespaces(conf.polling.extra_namespaces)
    except ConfigError as error:
        yield settings.error("polling", "extra_namespaces", error)


def _parse(
    conf: cfg.ConfigOpts,
    files: Iterable[str],
    folders: Iterable[str],
    default_files: list[str],
    default_dirs: list[str],
) -> None:
    """Let oslo.config read them."""
    conf(
        [f"--config-file={file}" for file in files] + [f"--config-dir={folder}" for folder in folders],
        project=PROJECT,
        prog=PROJECT,
        default_config_files=default_files,
        default_config_dirs=default_dirs,
    )


def _state_dir(conf: cfg.ConfigOpts, places: Places, argument: str | None) -> Path:
    if argument is not None:
        return state_folder.checked(argument)
    option = conf.agent.state_dir
    if option is None:
        return state_folder.default(PROJECT)
    if not os.path.isabs(os.path.expanduser(option)):
        opt = next(opt for opt in AGENT_OPTS if opt.dest == "state_dir")
        raise option_faults.bad("agent", opt, places, "allowed: an absolute path")
    return state_folder.checked(option)
