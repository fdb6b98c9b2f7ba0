"""The options of all stages, gathered and read; apart, so that no stage knows where they are written."""

import difflib
import logging
import math
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oslo_config import cfg

from meteragent import state_folder
from meteragent.config_files import Place, Places, check_link, read_places, read_text
from meteragent.errors import ConfigError
from meteragent.journal import journal
from meteragent.plugins import loader
from meteragent.pollsters import limits

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
        ("DEFAULT", DEFAULT_OPTS),
        ("agent", AGENT_OPTS),
        ("journal", journal.OPTS),
        ("plugins", loader.OPTS),
        ("polling", [*POLLING_OPTS, *limits.OPTS]),
        ("storage", STORAGE_OPTS),
    ]


@dataclass(frozen=True)
class Settings:
    """What the agent and the commands are told."""

    conf: cfg.ConfigOpts
    state_dir: Path
    """Absolute; need not exist."""

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
        path = self.conf.find_file(os.path.expanduser(name))
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
        """Those of ``--config-dir``, then those of the config files."""
        files = [Path(os.path.expanduser(file)).parent for file in self.conf.config_file or ()]
        return [Path(os.path.expanduser(folder)) for folder in self.conf.config_dir or ()] + files

    def make_state_dir(self) -> Path:
        """The state folder, made for this user alone where it is missing.

        :raises ConfigError: when it cannot be made
        """
        return state_folder.make(self.state_dir)


_DEFAULT_FOLDERS = f"~/.{PROJECT}, ~, /etc/{PROJECT}, /etc"


def load(
    config_files: Sequence[str] = (), config_dirs: Sequence[str] = (), state_dir: str | None = None
) -> Settings:
    """Read all options from these files, then from the ``*.conf`` files of these folders; later ones win.

    Without files, ``meteragent.conf`` is looked for in the default folders.

    :param state_dir: wins over what any file says
    :raises ConfigError: naming the option, its value, what is allowed, and the file
    """
    default_files = list(dict.fromkeys(cfg.find_config_files(PROJECT, PROJECT)))
    default_dirs = list(dict.fromkeys(cfg.find_config_dirs(PROJECT, PROJECT)))
    files = _files(
        () if config_files else default_files, () if config_dirs else default_dirs
    ) + _files(config_files, config_dirs)  # fmt: skip
    places = read_places(files)
    conf = cfg.ConfigOpts()
    for group, opts in list_opts():
        conf.register_opts(opts, group=None if group == "DEFAULT" else group)
    try:
        conf(
            [f"--config-file={file}" for file in config_files]
            + [f"--config-dir={dir}" for dir in config_dirs],
            project=PROJECT,
            prog=PROJECT,
            default_config_files=default_files,
            default_config_dirs=default_dirs,
        )
    except (cfg.Error, OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(error)) from None
    _check(conf, places)
    try:
        loader.check_patterns(conf.plugins.disable)
    except ConfigError as error:
        place = places.get(("plugins", "disable"), Place("", None, ""))
        raise ConfigError(str(error), file=place.file or None, line=place.line) from None
    _warn_of_unknown(places)
    if not config_files and not config_dirs:
        _warn_of_hidden()
    return Settings(conf, _state_dir(conf, places, state_dir))


def _files(files: Sequence[str], folders: Iterable[str]) -> list[str]:
    """The config files, as oslo.config goes through them.

    :raises ConfigError: when a folder is none
    """
    if "" in files:
        raise ConfigError("config file '' names no file")
    found = [state_folder.absolute(file) for file in files]
    for folder in folders:
        path = Path(state_folder.absolute(folder))
        if not folder or not path.is_dir():
            raise ConfigError(f"config folder {folder!r} is {'no folder' if path.exists() else 'not there'}")
        if not os.access(path, os.R_OK | os.X_OK):  # else it would seem to be empty
            raise ConfigError(f"config folder {folder!r}: permission denied")
        found += sorted(str(file.absolute()) for file in path.glob("*.conf"))
    return found


def _options() -> Iterator[tuple[str, cfg.Opt]]:
    for group, opts in list_opts():
        for opt in opts:
            yield group, opt


def _check(conf: cfg.ConfigOpts, places: Places) -> None:
    """Read each option once, so that a bad value is told now and not where it is used."""
    for group, opt in _options():
        try:
            value = (conf if group == "DEFAULT" else conf[group])[opt.dest]
        except (cfg.Error, ValueError) as error:
            reason = str(error) if isinstance(error, cfg.TemplateSubstitutionError) else ""
        except RecursionError:
            reason = "refers to itself"
        else:
            # oslo.config reads an empty number as none at all, and takes nan and inf for numbers
            usable = value is not None or opt.default is None
            if usable and not (isinstance(value, float) and not math.isfinite(value)):
                if _is_text(value):
                    continue
                reason = "is no UTF-8 text"
            else:
                reason = ""
        raise _bad(group, opt, places, reason or f"allowed: {_allowed(opt)}")


def _is_text(value: Any) -> bool:
    """Whether it has no bytes in it that are no text, as the environment and a host's name may have."""
    texts = value if isinstance(value, list) else [value]
    return not any("\ud800" <= letter <= "\udfff" for text in texts for letter in str(text))


def _bad(group: str, opt: cfg.Opt, places: Places, reason: str) -> ConfigError:
    variable = f"OS_{group}__{opt.dest}".upper()
    place = places.get((group, opt.dest), Place("", None, ""))
    if variable in os.environ:
        place = Place(f"environment variable {variable}", None, os.environ[variable])
    shown = "(secret)" if opt.secret else repr(place.text)
    return ConfigError(
        f"[{group}] {opt.dest} = {shown:.120}: {reason}", file=place.file or None, line=place.line
    )


def _allowed(opt: cfg.Opt) -> str:
    """What an option takes, in words."""
    kind: Any = opt.type
    if getattr(kind, "choices", None):
        return "one of " + ", ".join(str(choice) for choice in kind.choices)
    if getattr(kind, "regex", None):
        return f"text that matches {kind.regex.pattern}"
    words = str(kind.type_name).removesuffix(" value")
    low, high = getattr(kind, "min", None), getattr(kind, "max", None)
    if low is not None and high is not None:
        return f"{words} from {low} to {high}"
    if low is not None or high is not None:
        return f"{words} of at least {low}" if low is not None else f"{words} of at most {high}"
    return words


def _warn_of_unknown(places: Places) -> None:
    """Name each key that nobody reads, and each group that looks misspelt: plugins have groups, too."""
    known: dict[str, list[str]] = {}
    for group, opt in _options():
        known.setdefault(group, []).append(opt.dest)
    for (group, name), place in places.items():
        if group not in known:
            meant = difflib.get_close_matches(group, known, 1, 0.75)
            if meant:
                LOG.warning(
                    "%s:%s: nothing reads the group [%s]; there is [%s]",
                    place.file,
                    place.line,
                    group,
                    meant[0],
                )
        elif name not in known[group] and name != "config_source":
            LOG.warning(
                "%s:%s: [%s] %s is no option and is ignored; options there: %s",
                place.file, place.line, group, name, ", ".join(sorted(known[group])),
            )  # fmt: skip
    for variable in os.environ:
        name, _, option = variable.removeprefix("OS_").partition("__")
        for group, options in known.items():
            if variable.startswith("OS_") and name == group.upper() and option.lower() not in options:
                LOG.warning(
                    "environment variable %s: [%s] has no such option; options there: %s",
                    variable, group, ", ".join(sorted(options)),
                )  # fmt: skip


def _warn_of_hidden() -> None:
    """Name each default folder that may hold a configuration but cannot be looked into."""
    for folder in (os.path.expanduser(f"~/.{PROJECT}"), f"/etc/{PROJECT}"):
        if os.path.isdir(folder) and not os.access(folder, os.R_OK | os.X_OK):
            LOG.warning("config folder %s: permission denied; what it may hold is ignored", folder)


def _state_dir(conf: cfg.ConfigOpts, places: Places, argument: str | None) -> Path:
    if argument is not None:
        return state_folder.checked(argument)
    option = conf.agent.state_dir
    if option is None:
        return state_folder.default(PROJECT)
    if not os.path.isabs(os.path.expanduser(option)):
        opt = next(opt for opt in AGENT_OPTS if opt.dest == "state_dir")
        raise _bad("agent", opt, places, "allowed: an absolute path")
    return state_folder.checked(option)
