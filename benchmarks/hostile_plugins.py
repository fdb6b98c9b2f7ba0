"""Pollsters that do their worst, for agents that run them in processes of their own."""

PLUGINS = '''
import ctypes
import json
import os
import signal
import socket
import struct
import sys
import threading
import time

from meteragent.sample import Sample


def sample(number=1, **more):
    given = {"name": "m", "type": "gauge", "unit": "1", "volume": number, "resource_id": f"r{number}"}
    return Sample(**given | more)


def connection():
    """The socket to the agent, found where it hides."""
    for number in range(3, 64):
        try:
            if os.readlink(f"/proc/self/fd/{number}").startswith("socket:"):
                return socket.socket(fileno=number)
        except OSError:
            continue


class Good:
    def get_samples(self):
        for number in range(20):
            yield sample(number)


class Loops:
    """Computes for ever, whatever is thrown into it."""

    def get_samples(self):
        yield sample()
        while True:
            try:
                while True:
                    pass
            except BaseException:
                continue


class HoldsLock:
    """Holds the lock of the interpreter in a C call."""

    def get_samples(self):
        ctypes.PyDLL(None).sleep(1000000)
        yield sample()


class ForkBomb:
    def get_samples(self):
        while True:
            try:
                os.fork()
            except OSError:
                time.sleep(0.01)
        yield sample()


class Daemon:
    """Leaves a process behind that would outlive it, and ends."""

    def get_samples(self):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
                os.closerange(0, 64)
                time.sleep(1000000)
            os._exit(0)
        time.sleep(0.1)
        os._exit(5)
        yield sample()


class MemoryHog:
    def get_samples(self):
        hoard = []
        while True:
            hoard.append(bytearray(1 << 20))
        yield sample()


class Exits:
    def get_samples(self):
        os._exit(3)
        yield sample()


class Segfault:
    def get_samples(self):
        yield sample()
        ctypes.string_at(0)


class ClosesAll:
    def get_samples(self):
        os.closerange(0, 1024)
        time.sleep(1000000)
        yield sample()


class WritesOutside:
    def get_samples(self):
        open("%(folder)s/written", "w").write("here I was")
        yield sample()


class OpensSocket:
    def get_samples(self):
        socket.create_connection(("127.0.0.1", 9))
        yield sample()


class ChangesFolder:
    def get_samples(self):
        os.chdir("/proc")
        os.chdir("%(folder)s")
        open("here", "w").write("I was")
        yield sample()


class RaisesBase:
    def get_samples(self):
        class Ending(BaseException):
            pass
        yield sample()
        raise Ending("of all")


class NeverEnds:
    def get_samples(self):
        number = 0
        while True:
            number += 1
            yield sample(number)


class Gigabyte:
    def get_samples(self):
        yield sample(resource_metadata={"text": "x" * (1 << 30)})


class PatchesJson:
    def get_samples(self):
        json.dumps = json.loads = json.JSONEncoder.encode = lambda *_, **__: "patched"
        sys.modules["json"] = sys.modules["msgspec"] = None
        yield sample()
        raise RuntimeError("json is patched")


class KillsParent:
    def get_samples(self):
        for process in (os.getppid(), -1, 1):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        for process in range(2, 40000):
            try:
                os.kill(process, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        yield sample()
        raise RuntimeError("nobody was killed")


class ReadsSecrets:
    def get_samples(self):
        found = []
        for path in ("/etc/shadow", "%(state)s/journal.db", "%(config)s/meteragent.conf"):
            try:
                found.append(open(path).read())
            except OSError:
                pass
        raise RuntimeError(f"{len(found)} secrets read")
        yield


class EndlessLog:
    def get_samples(self, log):
        while True:
            print("x" * 10000)
            log.warning("y" * 10000)
        yield


class SleepsForever:
    def get_samples(self):
        for number in range(1, 32):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                continue
        while True:
            time.sleep(1000000)
        yield


class Forger:
    """Sends what is no frame."""

    def get_samples(self):
        connection().sendall(struct.pack("<IB", 1 << 30, 3) + b"x" * 100)
        time.sleep(1000000)
        yield


class ForgesEnd:
    """Sends frames that are well formed, and are none of its business."""

    def get_samples(self):
        connection().sendall(struct.pack("<IB", 4, 6) + b"\\x93\\x01\\xc0\\xc0" * 9)
        time.sleep(1000000)
        yield


class Floods:
    """Sends a frame that would become millions of objects."""

    def get_samples(self):
        many = b"\\xdd" + struct.pack(">I", 8000000) + b"\\x80" * 8000000
        body = b"\\x94\\x01\\xa1k\\x81\\xa4name" + many + b"\\xa1t"
        connection().sendall(struct.pack("<IB", len(body), 4) + body)
        time.sleep(1000000)
        yield


class FloodsBlocks:
    """Sends well-formed samples of its own call, whose metadata are hundreds of thousands of values."""

    def get_samples(self):
        frame = sys._getframe()
        while "asked" not in frame.f_locals:
            frame = frame.f_back
        text = b'{"a":[' + b"{}," * 300000 + b"{}]}"
        metadata = b"\\x91\\xc6" + struct.pack(">I", len(text)) + text
        fields = b"\\x99\\xa1m\\xa5gauge\\xa1u\\x01\\xc0\\xc0\\xa1r\\xc0" + metadata
        body = b"\\x92" + bytes([frame.f_locals["asked"].call]) + b"\\x91" + fields
        way = connection()
        while True:
            way.sendall(struct.pack("<IB", len(body), 3) + body)
        yield


class HostileObjects:
    def get_samples(self):
        class Odd:
            def __str__(self):
                os._exit(7)
            __repr__ = __str__
            def __reduce__(self):
                os._exit(8)
        yield sample(resource_metadata={1: Odd()})
        yield sample(resource_id=Odd())


class Spins:
    """Goes on computing in threads after its calls, and says nothing."""

    def get_samples(self):
        for _ in range(3):
            threading.Thread(target=self.spin, daemon=True).start()
        raise RuntimeError("spins")
        yield

    def spin(self):
        while True:
            pass
'''
REASONS = {
    "Loops": "not finished",
    "HoldsLock": "not finished",
    "ForkBomb": "not finished",
    "Daemon": "its process exited with status 5",
    "MemoryHog": "MemoryError: exceeded the memory limit of 64 MiB",
    "Exits": "its process exited with status 3",
    "Segfault": "its process was killed by signal 11 (SEGV)",
    "ClosesAll": "its process closed its connection",
    "WritesOutside": "Error: [Errno",
    "OpensSocket": "PermissionError",
    "ChangesFolder": "Error: [Errno",
    "RaisesBase": "Ending: of all",
    "NeverEnds": "the limit of 2000 samples is reached",
    "Gigabyte": "MemoryError: exceeded the memory limit of 64 MiB",
    "PatchesJson": "RuntimeError: json is patched",
    "KillsParent": "PermissionError",
    "ReadsSecrets": "RuntimeError: 0 secrets read",
    "EndlessLog": "its process logs without end",
    "SleepsForever": "not finished",
    "Forger": "its process sent a frame of 1073741824 bytes",
    "ForgesEnd": "its process sent",
    "Floods": "its process sent a frame of 8000017 bytes",
    "FloodsBlocks": "its process sent metadata in no canonical form",
    "HostileObjects": "its process exited with status 7",
    "Spins": "failing: ",
}
"""What is to be told of each."""
