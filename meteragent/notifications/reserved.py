"""Which attributes that users give their resources are kept in samples; apart, as its options are shared."""

from collections.abc import Mapping
from typing import Any

import msgspec


class Reserved(msgspec.Struct, frozen=True):
    """The attributes of users that are kept, and how much of each."""

    namespaces: tuple[str, ...] = ("metering.",)
    keys: tuple[str, ...] = ()
    length: int = 256

    @classmethod
    def of(cls, conf: Any) -> "Reserved":
        """What the options say."""
        return cls(
            tuple(conf.reserved_metadata_namespace),
            tuple(conf.reserved_metadata_keys),
            conf.reserved_metadata_length,
        )

    def kept(self, found: Mapping[Any, Any], besides: Mapping[Any, Any]) -> dict[str, Any]:
        """Those of the attributes that are kept, by the name that they get; later rules win.

        :param besides: attributes that stand beside them; a name that is taken there is left out
        """
        kept: dict[str, Any] = {}
        for beginning in self.namespaces:
            for name, value in found.items():
                if isinstance(name, str) and name.startswith(beginning):
                    self._keep(name[len(beginning) :], value, besides, kept)
        for key in self.keys:
            if key in found:
                self._keep(key, found[key], besides, kept)
        return kept

    def _keep(self, name: str, value: Any, besides: Mapping[Any, Any], kept: dict[str, Any]) -> None:
        name = name.replace(".", "_")
        if name not in besides:
            kept[name] = value[: self.length] if isinstance(value, str) else value
