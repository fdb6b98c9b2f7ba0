"""NVIDIA GPUs of this machine; apart because they are asked through a library that few machines have."""

import contextlib
import importlib
import logging
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from meteragent.errors import PluginUnavailable, Unavailable
from meteragent.machine import user_name
from meteragent.pollsters.base import Meter, Pollster
from meteragent.sample import Metadata, Sample


def _meter(
    name: str, unit: str, meaning: str, kind: str = "gauge", resource: str = "<host>.gpu.<uuid>"
) -> Meter:
    return Meter(f"host.gpu.{name}", kind, unit, meaning, resource)


USER = "<host>.gpu.<uuid>.user.<uid>"
UTILISATION = _meter("utilisation", "%", "Part of the last second or less in which a program ran on it.")
MEMORY_UTILISATION = _meter(
    "memory.utilisation", "%", "Part of that in which its memory was read or written."
)
TOTAL = _meter("memory.total", "B", "Memory of the GPU.")
USED = _meter("memory.used", "B", "Memory taken, what the driver keeps for itself not included.")
ENERGY = _meter("energy", "J", "Energy that it took since the driver was loaded.", "cumulative")
POWER = _meter("power", "W", "Power that it takes, averaged by the GPU over a second or less.")
TEMPERATURE = _meter("temperature", "Cel", "Temperature of the chip.")
CORRECTED = _meter(
    "errors.corrected", "error", "Memory errors put right since the driver was loaded.", "cumulative"
)
UNCORRECTED = _meter("errors.uncorrected", "error", "Memory errors that lost what was there.", "cumulative")
USER_MEMORY = _meter("user.memory", "B", "Memory that the programs of a user have taken.", resource=USER)
USER_PROCESSES = _meter("user.processes", "process", "Processes of a user that use the GPU.", resource=USER)

LOG = logging.getLogger(__name__)

Volumes = Iterator[tuple[Meter, int | float]]


class Gpu(NamedTuple):
    """A GPU, with what stands in its samples."""

    handle: Any
    resource: str
    metadata: Metadata


class NvidiaPollster(Pollster):
    """What each GPU does and takes, and what the programs of each user have taken of its memory.

    Users are told by the process ids that the driver gives; a process that this system does not show,
    as from within a container, counts as of the user ``unknown``.
    """

    default_discovery = "local_host"
    declares = (
        UTILISATION, MEMORY_UTILISATION, TOTAL, USED, ENERGY, POWER, TEMPERATURE, CORRECTED, UNCORRECTED,
        USER_MEMORY, USER_PROCESSES,
    )  # fmt: skip
    meters = tuple(meter.name for meter in declares)

    def __init__(self, host: str, nvml: Any = None, proc: str = "/proc") -> None:
        """
        :param nvml: the module ``pynvml``, which is imported when none is given
        :param proc: folder where the kernel shows processes
        :raises PluginUnavailable: without the library, the driver or a GPU
        """
        if nvml is None:
            try:
                nvml = importlib.import_module("pynvml")
            except ImportError:
                raise PluginUnavailable(
                    "nvidia-ml-py is not installed: pip install meteragent[nvidia]"
                ) from None
        self._host, self._nvml, self._proc = host, nvml, proc
        self._untold = (
            nvml.NVMLError_NotSupported,
            nvml.NVMLError_NoPermission,
            nvml.NVMLError_FunctionNotFound,
        )
        self._gpus: list[Gpu] = []
        # of users there may be none at this moment
        present = self._find() | {USER_MEMORY, USER_PROCESSES}
        self._lack(
            {meter.name: "no GPU of this machine tells it" for meter in self.declares if meter not in present}
        )

    def _find(self) -> set[Meter]:
        """Look for the GPUs, and for the meters that any of them tells; one at fault is left out.

        :raises PluginUnavailable: when none is left
        """
        nvml, present, faults = self._nvml, set[Meter](), list[str]()
        try:
            nvml.nvmlInit()
            count = nvml.nvmlDeviceGetCount()
        except nvml.NVMLError as error:
            raise PluginUnavailable(f"NVIDIA's driver does not answer: {error}") from None
        for number in range(count):
            try:
                gpu = self._gpu(number)
                present |= {meter for meter, _ in self._volumes(gpu.handle)}
                self._gpus.append(gpu)
            except nvml.NVMLError as error:
                faults.append(f"GPU {number}: {error}")
        if not self._gpus:
            raise PluginUnavailable("; ".join(faults) or "NVIDIA's driver knows of no GPU")
        for fault in faults:
            LOG.warning("%s; it is not metered until the agent starts again", fault)
        return present

    def _gpu(self, number: int) -> Gpu:
        nvml = self._nvml
        handle = nvml.nvmlDeviceGetHandleByIndex(number)
        uuid, name = _text(nvml.nvmlDeviceGetUUID(handle)), _text(nvml.nvmlDeviceGetName(handle))
        bus = _text(nvml.nvmlDeviceGetPciInfo(handle).busId)
        metadata = Metadata.of({"gpu": number, "model": name, "bus": bus})
        return Gpu(handle, f"{self._host}.gpu.{uuid}", metadata)

    def get_samples(self, resources: list[Any]) -> Iterator[Sample]:  # noqa: ARG002  always this machine
        """Yield what each GPU tells; the resource is ``<host>.gpu.<uuid>``, with ``.user.<uid>`` for users.

        :raises Unavailable: after the samples of the others, naming GPUs that are at fault
        """
        faults = []
        for handle, resource, metadata in self._gpus:
            try:
                for meter, volume in self._volumes(handle):
                    yield meter.sample(volume, resource, metadata)
                users = self._users(handle)
            except self._nvml.NVMLError as error:
                faults.append(f"{resource}: {error}")
                continue
            for uid, (processes, memory) in users.items():
                user = user_name(uid) if isinstance(uid, int) else None
                mine = f"{resource}.user.{uid}"
                yield USER_PROCESSES.sample(processes, mine, metadata, user)
                if memory is not None:
                    yield USER_MEMORY.sample(memory, mine, metadata, user)
        if faults:
            raise Unavailable("; ".join(faults))

    def _volumes(self, gpu: Any) -> Volumes:
        """What a GPU tells; no two models tell the same.

        :raises NVMLError: when it is at fault
        """
        nvml, untold = self._nvml, self._untold
        with contextlib.suppress(*untold):
            rates = nvml.nvmlDeviceGetUtilizationRates(gpu)
            yield UTILISATION, rates.gpu
            yield MEMORY_UTILISATION, rates.memory
        with contextlib.suppress(*untold):
            memory = nvml.nvmlDeviceGetMemoryInfo(gpu, version=nvml.nvmlMemory_v2)
            yield TOTAL, memory.total
            yield USED, memory.used
        with contextlib.suppress(*untold):
            yield ENERGY, nvml.nvmlDeviceGetTotalEnergyConsumption(gpu) / 1000
        with contextlib.suppress(*untold):
            yield POWER, nvml.nvmlDeviceGetPowerUsage(gpu) / 1000
        with contextlib.suppress(*untold):
            yield TEMPERATURE, nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU)
        for meter, kind in (
            (CORRECTED, nvml.NVML_MEMORY_ERROR_TYPE_CORRECTED),
            (UNCORRECTED, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED),
        ):
            with contextlib.suppress(*untold):
                yield meter, nvml.nvmlDeviceGetTotalEccErrors(gpu, kind, nvml.NVML_VOLATILE_ECC)

    def _users(self, gpu: Any) -> dict[int | str, tuple[int, int | None]]:
        """Processes of each user and their memory, None where the driver does not tell it."""
        processes: dict[int, int | None] = {}
        for ask in (
            self._nvml.nvmlDeviceGetComputeRunningProcesses,
            self._nvml.nvmlDeviceGetGraphicsRunningProcesses,
        ):
            with contextlib.suppress(*self._untold):
                # one that computes and draws is in both lists, with the same memory
                processes |= {process.pid: process.usedGpuMemory for process in ask(gpu)}
        users: dict[int | str, tuple[int, int | None]] = {}
        for process, memory in processes.items():
            uid = self._user(process)
            count, sum_ = users.get(uid, (0, None))
            users[uid] = count + 1, sum_ if memory is None else (sum_ or 0) + memory
        return users

    def _user(self, process: int) -> int | str:
        try:
            return os.stat(os.path.join(self._proc, str(process))).st_uid
        except OSError:
            return "unknown"


def _text(answer: Any) -> str:
    """Old versions of the library give bytes."""
    return answer.decode() if isinstance(answer, bytes) else str(answer)
