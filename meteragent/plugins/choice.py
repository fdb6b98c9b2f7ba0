"""Which plugins a configuration chooses; apart, since all that find and load them ask the same."""

import os
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Protocol

import msgspec
from oslo_config import cfg

from meteragent.errors import ConfigError
from meteragent.plugins import import_policy

_PATTERNS = (
    "A pattern is matched against <kind>:<name>, for pollsters pollster:<namespace>.<name>; "
    "@<distribution> behind it means the plugin of that distribution only, or of that file in a folder. "
    "* stands for any text, ? for any character."
)

OPTS = [
    cfg.ListOpt(
        "enable",
        default=["*"],
        help="Patterns of the only plugins that may be loaded, separated by commas, e.g. pollster:host.cpu, "
        "discovery:*, publisher:*, storage:*, notification:*, trait:*. What none of them matches is "
        f"disabled, whatever kind it is of. {_PATTERNS}",
    ),
    cfg.ListOpt(
        "disable",
        default=[],
        help="Patterns of plugins that are not loaded, separated by commas, e.g. pollster:host.disk* or "
        f"publisher:file; it wins over enable. {_PATTERNS}",
    ),
    cfg.ListOpt(
        "directories",
        default=[],
        help="Folders of drop-ins, which are plain .py files with plugins in them, separated by commas. A "
        "relative name is looked up in the config folders. Folders and files that anybody but root and the "
        "user of the agent may write to are refused.",
    ),
    cfg.ListOpt(
        "isolate",
        default=[],
        help="Patterns of pollsters that run in a process of their own and are never imported by the agent, "
        f"separated by commas, e.g. pollster:dropin.*. {_PATTERNS}",
    ),
    cfg.DictOpt(
        "forbidden_imports",
        default={},
        metavar="module:reason, separated by commas",
        help="Modules that drop-ins may not import, each with the reason that is told, as module:reason, "
        "separated by commas; beside, or in place of, those that are built in. One without a reason is "
        'allowed, e.g. "requests:use the argument http, socket:". With *: none of the built-in ones holds. '
        "This guards against mistakes and is no security boundary. Built in are: "
        + ", ".join(f"{module}:{reason}" for module, reason in import_policy.FORBIDDEN.items())
        + ".",
    ),
    cfg.ListOpt(
        "middleware",
        default=[],
        help="Names of the middleware around the callbacks of plugins, outermost first, separated by commas.",
    ),
]
"""Options of the group ``plugins``."""


class Named(Protocol):
    """What tells a plugin from others."""

    @property
    def label(self) -> str: ...

    @property
    def distribution(self) -> str: ...


class Choice(msgspec.Struct, frozen=True):
    """What a configuration says of which plugins are used, and how."""

    namespaces: tuple[str, ...] = ()
    """Of pollsters, as in ``[polling] namespaces`` and ``extra_namespaces``."""
    directories: tuple[str, ...] = ()
    """Folders of drop-ins; those that are relative in the configuration lie in its folders."""
    enable: tuple[str, ...] = ("*",)
    disable: tuple[str, ...] = ()
    isolate: tuple[str, ...] = ()
    forbidden: Mapping[str, str] = msgspec.field(default_factory=lambda: import_policy.FORBIDDEN)
    """Modules that drop-ins may not import, with the reason; without one it is allowed."""
    apart: frozenset[str] = frozenset()
    """Labels of pollsters that polling sources have run in processes of their own, and nobody else polls."""

    @classmethod
    def of(cls, conf: Any) -> "Choice":
        """What the options say."""
        told = conf.plugins
        return cls(
            (*conf.polling.namespaces, *conf.polling.extra_namespaces),
            tuple(str(_folder(name, conf)) for name in told.directories),
            tuple(told.enable),
            tuple(told.disable),
            tuple(told.isolate),
            import_policy.table(told.forbidden_imports),
        )

    def why_off(self, plugin: Named) -> str:
        """Why a plugin is not to be used; empty when it is."""
        disabling = _matching(plugin, self.disable)
        if disabling:
            return f"by {disabling!r} in [plugins] disable"
        return "" if _matching(plugin, self.enable) else "as no pattern in [plugins] enable matches it"

    def isolates(self, plugin: Named) -> bool:
        """Whether a plugin is to run in a process of its own, also where it cannot and is not to be used."""
        own = plugin.label.startswith(tuple(f"{kind}:" for kind in CONFINED))
        patterns = (each for each in self.isolate if own or each != ALL)
        return plugin.label in self.apart or bool(_matching(plugin, patterns))

    @property
    def isolating(self) -> bool:
        """Whether any plugin may run in a process of its own."""
        return bool(self.isolate or self.apart)

    def unmatched(self, plugins: Iterable[Named]) -> list[tuple[str, str]]:
        """The patterns that match none of the plugins, each with the option it stands in."""
        plugins = list(plugins)
        return [
            (option, pattern)
            for option in PATTERNS
            for pattern in getattr(self, option)
            if pattern != ALL and not any(_matching(each, (pattern,)) for each in plugins)
        ]


EVERYTHING = Choice()
PATTERNS = ("enable", "disable", "isolate")
"""Options that hold patterns."""
ALL = "*"
CONFINED = ("pollster",)
"""Kinds of plugins that can run in processes of their own."""


def check_patterns(option: str, patterns: Iterable[str], kinds: Iterable[str]) -> None:
    """See that each pattern begins with a kind of plugin that it may mean, or means them all.

    :raises ConfigError: naming the pattern and what is allowed
    """
    isolating = option == "isolate"
    allowed = [kind for kind in kinds if not isolating or kind in CONFINED]
    for pattern in patterns:
        if pattern != ALL and (pattern.partition(":")[0] not in allowed or ":" not in pattern):
            further = " that can run in a process of its own" if isolating else ""
            raise ConfigError(
                f"[plugins] {option}: {pattern!r} begins with no kind of plugin{further}; allowed: "
                + ", ".join(f"{kind}:…" for kind in allowed)
            )


def _matching(plugin: Named, patterns: Iterable[str]) -> str:
    """The first pattern that matches it; empty when none does."""
    names = (plugin.label, f"{plugin.label}@{plugin.distribution}")
    return next((each for each in patterns if any(fnmatchcase(name, each) for name in names)), "")


def _folder(name: str, conf: Any) -> Path:
    """Where a folder of drop-ins is: in the first config folder that has it, else in the first of all."""
    path = Path(os.path.expanduser(name))
    if path.is_absolute():
        return path
    told = [*(conf.config_dir or ()), *(str(Path(each).parent) for each in reversed(conf.config_file or ()))]
    places = [Path(os.path.expanduser(folder)).absolute() / path for folder in told]
    return next((place for place in places if place.is_dir()), places[0] if places else path.absolute())
