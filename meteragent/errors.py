"""The errors that mean something to another stage; apart, so that anyone may raise them."""

from collections.abc import Sequence


class MeteragentError(Exception):
    """Anything the agent says in one line instead of a traceback."""


class ConfigError(MeteragentError):
    """A configuration that cannot be used; start-up stops.

    :param key: where in the file it is, as ``[storage] retention`` or ``sources[0].interval``
    :param value: what stands there, fit to be shown
    :param suggestion: what was perhaps meant; it becomes a part of the message
    """

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        key: str = "",
        value: str = "",
        suggestion: str = "",
    ) -> None:
        self.file, self.line, self.key, self.value, self.suggestion = file, line, key, value, suggestion
        self.problem = f"{message}; perhaps: {suggestion}" if suggestion else message
        place = ":".join(str(part) for part in (file, line) if part is not None)
        super().__init__(f"{place}: {self.problem}" if place else self.problem)


class PluginError(MeteragentError):
    """A plugin that does not keep its contract; it is skipped and shown."""


class PluginUnavailable(MeteragentError):
    """Raised by a plugin that has nothing to do here; the reason is shown."""


class Rejected(MeteragentError):
    """Never to be retried as it is: goes to quarantine with the reason."""


class Unavailable(MeteragentError):
    """Not now: to be retried with back-off."""


class Held(Unavailable):
    """Not all that was offered could be taken now.

    :param taken: how many of what was offered, from the first on, were taken and must not be offered again
    """

    def __init__(self, message: str, taken: int = 0) -> None:
        self.taken = taken
        super().__init__(message)


class QueryTimeout(Unavailable):
    """An answer took longer than it may; a narrower question is answered."""


class QueryError(MeteragentError):
    """A question that makes no sense: an unknown field, an impossible period."""


class NotFound(MeteragentError):
    """Asked for something that is not there."""


class PollsterPermanentError(MeteragentError):
    """Raised by a pollster for resources that it shall never be asked for again."""

    def __init__(self, resources: Sequence[object]) -> None:
        self.fail_res_list = list(resources)  # the ancestor's name
        super().__init__(f"gave up for good on {len(self.fail_res_list)} resources")
