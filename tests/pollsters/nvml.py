"""A session with NVIDIA's library, recorded and played back; apart, as it is recorded on another machine.

``python -m tests.pollsters.nvml FILE`` on a machine with a GPU writes what the library answers to the
pollster into the file, with ids of the GPU made up. ``nvml_session.json`` is what nvidia-ml-py 13.615
answered over a driver that was made up, figures and all.
"""

import json
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

MADE_UP = "GPU-0a1b2c3d-1111-2222-3333-"


class NVMLError(Exception):
    """As the library's, with the number of its kind."""


class NVMLError_NotSupported(NVMLError):  # noqa: N801  the library's name
    """What this model does not tell."""


class NVMLError_NoPermission(NVMLError):  # noqa: N801  the library's name
    """What only root may ask."""


class NVMLError_FunctionNotFound(NVMLError):  # noqa: N801  the library's name
    """What an old driver does not know."""


class NVMLError_GpuIsLost(NVMLError):  # noqa: N801  the library's name
    """What a GPU answers that fell off the bus."""


class Played:
    """Answers as the library did when the session was recorded."""

    NVMLError = NVMLError
    NVMLError_NotSupported = NVMLError_NotSupported
    NVMLError_NoPermission = NVMLError_NoPermission
    NVMLError_FunctionNotFound = NVMLError_FunctionNotFound

    def __init__(self, session: dict[str, Any]) -> None:
        self.answers: dict[str, Any] = session["answers"]
        self._constants: dict[str, int] = session["constants"]

    def __getattr__(self, name: str) -> Any:
        if name in self._constants:
            return self._constants[name]
        if name.startswith("nvml"):
            return lambda *args, **named: self._answer(_key(name, args, named))
        raise AttributeError(name)

    def _answer(self, key: str) -> Any:
        answer = self.answers[key]
        if isinstance(answer, dict) and "raises" in answer:
            raise globals()[answer["raises"]](answer["text"])
        return _object(answer)


class Recorder:
    """Hands calls on to the library and keeps the answers."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self.answers: dict[str, Any] = {}
        self.constants: dict[str, int] = {}
        self.seconds: dict[str, float] = {}
        self._handles: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._nvml, name)
        if isinstance(value, int):
            self.constants[name] = value
        elif name.startswith("nvml"):
            return self._recording(name, value)
        return value

    def _recording(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            shown = [f"GPU{self._handles.index(arg)}" if arg in self._handles else arg for arg in args]
            key, began = _key(name, shown, named), time.perf_counter()
            try:
                answer = function(*args, **named)
            except self._nvml.NVMLError as error:
                self.answers[key] = {"raises": type(error).__name__, "text": str(error)}
                raise
            finally:
                self.seconds[key] = time.perf_counter() - began
            if name == "nvmlDeviceGetHandleByIndex":
                self._handles.append(answer)
                self.answers[key] = f"GPU{len(self._handles) - 1}"
            else:
                self.answers[key] = _plain(answer)
            return answer

        return call


def _key(name: str, args: Any, named: dict[str, Any]) -> str:
    return f"{name}({', '.join([*map(str, args), *(f'{key}={value}' for key, value in named.items())])})"


def _plain(answer: Any) -> Any:
    """JSON of an answer: numbers, text, lists, and objects of the library as their fields."""
    if isinstance(answer, bytes):
        answer = answer.decode()
    if isinstance(answer, str):
        return re.sub(r"GPU-[0-9a-f-]{24}", MADE_UP, answer)
    if isinstance(answer, list):
        return [_plain(each) for each in answer]
    if hasattr(answer, "_fields_") or hasattr(answer, "__dict__"):
        names = [each[0] for each in getattr(answer, "_fields_", ())] or list(vars(answer))
        return {name: _plain(getattr(answer, name)) for name in names}
    return answer


def _object(answer: Any) -> Any:
    if isinstance(answer, list):
        return [_object(each) for each in answer]
    return SimpleNamespace(**answer) if isinstance(answer, dict) else answer


def main(file: str) -> None:
    """Poll once through a recorder, and time further polls without it."""
    import pynvml  # type: ignore[import-not-found,unused-ignore]

    from meteragent.pollsters.nvidia import NvidiaPollster

    recorder = Recorder(pynvml)
    began = time.perf_counter()
    pollster = NvidiaPollster("web1", recorder)
    print(f"constructed in {time.perf_counter() - began:.3f} s; lacking {pollster.lacking}")
    for sample in pollster.get_samples([]):
        print(
            sample.name,
            sample.volume,
            sample.unit,
            sample.resource_id[:9],
            sample.user_id,
            sample.resource_metadata,
        )
    session = {"constants": recorder.constants, "answers": recorder.answers}
    Path(file).write_text(
        json.dumps(session, indent=1).replace(f'"pid": {os.getpid()}', '"pid": 4711') + "\n"
    )
    print({key: round(spent * 1e6) for key, spent in recorder.seconds.items()})
    plain = NvidiaPollster("web1")
    cpu, began = time.process_time(), time.perf_counter()
    for _ in range(20):
        list(plain.get_samples([]))
    spent, lasted = time.process_time() - cpu, time.perf_counter() - began
    print(f"a poll: {spent * 5e4:.0f} us CPU, {lasted * 5e4:.0f} us")


if __name__ == "__main__":
    main(sys.argv[1])
