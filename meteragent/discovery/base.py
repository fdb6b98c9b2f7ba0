"""What a discovery is: a plugin that lists resources."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar


class Discovery(ABC):
    """Finds resources for pollsters; asked at most once per tick for each parameter.

    Arguments injected by name: param (text after ``name:`` or None), conf, host, log, cache,
    manager (as the ancestor's).
    """

    immediate: ClassVar[bool] = False
    """Whether it answers from memory: it is then asked in the thread of the pollster that needs it."""

    @abstractmethod
    def discover(self, param: str | None = None) -> Iterable[Any]:
        """The resources, each with a stable ``str()``."""
