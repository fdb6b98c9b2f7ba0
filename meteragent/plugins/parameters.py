"""Makes the synthetic module by which a drop-in is told of its surroundings; each drop-in has its own."""

from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

import meteragent

NAME = "meteragent.parameters"
PACKAGE, _, LAST = NAME.partition(".")


class Parameters(ModuleType):
    """The synthetic module: its names are what is offered."""

    def __init__(self, offers: Mapping[str, Any]) -> None:
        super().__init__(NAME, "What this plugin is offered.")
        vars(self).update(offers, __all__=sorted(offers))
        self._offers = sorted(offers)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(lacks(name, self._offers))


class Face(ModuleType):
    """The package, for one who imports the synthetic module by ``import meteragent.parameters``."""

    def __init__(self, parameters: Parameters) -> None:
        super().__init__(PACKAGE)
        setattr(self, LAST, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(meteragent, name)


def lacks(name: str, offers: Iterable[str]) -> str:
    """What is told of a parameter that there is none of."""
    return f"{NAME} has no {name!r}; offered are {', '.join(sorted(offers))}"


def lacking(module: str, names: Iterable[str], offers: Iterable[str]) -> list[str]:
    """What an import wants of the synthetic module that is not offered."""
    if module != NAME:
        return []
    return [name for name in names if name not in offers and name != "*"]
