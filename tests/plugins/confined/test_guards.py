"""The guards around a confined plugin, one by one: what it tries from inside."""

import os
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from meteragent.plugins.confined import seccomp
from meteragent.plugins.confined.pollster import StandIn
from tests.plugins.confined.confining import NOBODY, confined, order, yielding

ROOT = Path(__file__).resolve().parents[3]
TRYING = """\
names = {}
try:
    exec(resources[0], names)
    told = repr(names.get("found"))
except BaseException as error:
    told = f"{type(error).__name__}: {error}"
yield Sample("m", "gauge", "", 1, None, None, "r", None, {"told": told})
"""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
Try = Callable[[str], str]


def trying(apart: StandIn) -> Try:
    """Runs Python inside; gives the text of ``found``, or the error."""

    def run(code: str) -> str:
        (sample,) = apart.get_samples(resources=[textwrap.dedent(code)])
        return str(sample.resource_metadata["told"])

    return run


@pytest.fixture(scope="module")
def attempt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Try]:
    """In a process that all tests here share, below whose folder of modules another one is hidden."""
    folder = tmp_path_factory.mktemp("guards")
    secret = folder / "plugins" / "state"
    secret.mkdir(parents=True)
    secret.parent.chmod(0o755)
    (secret / "journal.db").write_text("secret")
    apart = StandIn(order(folder, yielding(TRYING, "resources"), (str(secret),)))
    yield trying(apart)
    apart.close()


@pytest.fixture(scope="module")
def granted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Try]:
    """In a process that has the network."""
    apart = confined(tmp_path_factory.mktemp("granted"), yielding(TRYING, "resources"), network=True)
    yield trying(apart)
    apart.close()


@needs_root
def test_it_is_nobody(attempt: Try) -> None:
    """User and group are the unprivileged ones, and there are no others."""
    found = attempt("import os; found = os.getresuid(), os.getresgid(), os.getgroups()")
    assert found in (
        f"(({NOBODY}, {NOBODY}, {NOBODY}), ({NOBODY}, {NOBODY}, {NOBODY}), [])",
    )  # fmt: skip


def test_it_has_no_privileges_and_gets_none(attempt: Try) -> None:
    """No capability is left, none can come, and seccomp filters its system calls."""
    found = attempt("""
        wanted = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")
        lines = [line.split() for line in open("/proc/self/status")]
        found = {line[0][:-1]: int(line[1], 16) for line in lines if line[0][:-1] in wanted}
    """)
    none = dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), 0)
    assert found == repr({**none, "NoNewPrivs": 1, "Seccomp": 2})


def test_it_has_no_files_open_but_its_socket(attempt: Try) -> None:
    """Input and output are nothing."""
    found = attempt("""
        import os
        links = []
        for number in range(64):
            try: links.append(os.readlink(f"/proc/self/fd/{number}"))
            except OSError: pass
        found = [link.partition(":")[0] for link in links]
    """)
    assert found == repr(["/dev/null", "/dev/null", "/dev/null", "socket"])


def test_its_environment_is_cleared(attempt: Try) -> None:
    """Nothing of the agent's is in it, nor was when it began."""
    found = attempt(
        "import os; found = sorted(os.environ), b'PYTEST' in open('/proc/self/environ', 'rb').read()"
    )
    assert found == repr((["HOME", "LANG", "PATH", "TMPDIR"], False))


def test_it_writes_into_its_own_folder_only(attempt: Try) -> None:
    """Which is where it is, empty at first; elsewhere it cannot."""
    assert attempt("import os; found = os.getcwd(), os.listdir()") == repr(("/scratch", []))
    assert attempt("open('x', 'w').write('x'); found = open('/scratch/x').read()") == "'x'"
    for path in ("/usr/x", "/x", "/tmp/x", "/dev/x", f"{ROOT}/x"):
        assert "Error: [Errno" in attempt(f"open({path!r}, 'w')")
        assert not Path(path).exists()


def test_its_folder_holds_only_so_much(attempt: Try) -> None:
    """Neither one file nor all together may be larger."""
    found = attempt("""
        import os
        try: open("large", "wb").write(bytes(20 << 20))
        finally: os.remove("large")
    """)
    assert found == "OSError: [Errno 28] No space left on device"
    found = attempt("""
        import os
        try:
            for number in range(4): open(f"large{number}", "wb").write(bytes(6 << 20))
        finally:
            for number in range(4): os.path.exists(f"large{number}") and os.remove(f"large{number}")
    """)
    assert found == "OSError: [Errno 28] No space left on device"


@pytest.mark.parametrize(
    "path", ["/etc/shadow", "/etc/gshadow", "/proc/1/environ", "/home", "/var/lib", "/sys"]
)
def test_it_reads_nothing_that_is_not_granted(attempt: Try, path: str) -> None:
    """Files of the system that it needs not, and what is other processes'."""
    assert "Error: [Errno" in attempt(f"import os; found = open({path!r}).read()")


def test_what_is_hidden_is_not_seen_though_it_lies_below_a_folder_granted(attempt: Try) -> None:
    """The state folder beside its modules, say."""
    found = attempt("""
        import os, sys
        place = next(path for path in sys.path if os.path.isdir(f"{path}/state"))
        found = os.listdir(f"{place}/state")
    """)
    assert found == "[]"


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK", "AF_PACKET"])
def test_it_opens_no_socket(attempt: Try, family: str) -> None:
    """Of no family; but asyncio has the pair that it needs."""
    kind = "SOCK_STREAM" if family in ("AF_INET", "AF_INET6", "AF_UNIX") else "SOCK_RAW"
    assert attempt(f"import socket; socket.socket(socket.{family}, socket.{kind})") == (
        "PermissionError: [Errno 13] Permission denied"
    )
    assert attempt("import asyncio; found = asyncio.run(asyncio.sleep(0, 1))") == "1"


def test_it_is_in_a_network_of_its_own(attempt: Try) -> None:
    """In which there is nothing but the loopback device."""
    found = attempt("found = [line.split(':')[0].strip() for line in open('/proc/net/dev')][2:]")
    assert found == "['lo']"


def test_it_sees_no_other_processes(attempt: Try) -> None:
    """And can kill none."""
    assert attempt("import os; found = sorted(filter(str.isdecimal, os.listdir('/proc')))") == "['1', '2']"
    assert attempt(f"import os; os.kill({os.getpid()}, 9)") == "ProcessLookupError: [Errno 3] No such process"
    assert attempt("import os; os.kill(os.getppid(), 9); found = 'alive'") in (
        "PermissionError: [Errno 1] Operation not permitted", "'alive'",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "most"),
    [("NOFILE", 64), ("NPROC", 16), ("CORE", 0), ("FSIZE", 16 << 20), ("MSGQUEUE", 0)],
)
def test_its_limits_are_those_of_the_configuration(attempt: Try, name: str, most: int) -> None:
    """Soft and hard, so that it cannot raise them."""
    assert attempt(f"import resource as r; found = r.getrlimit(r.RLIMIT_{name})") == repr((most, most))


def test_it_makes_only_so_many_processes(attempt: Try) -> None:
    """Those of other plugins do not count."""
    found = attempt("""
        import os, signal
        made = []
        try:
            while len(made) < 100:
                child = os.fork()
                if not child: os.kill(os.getpid(), signal.SIGSTOP)
                made.append(child)
        except BlockingIOError: pass
        finally:
            for child in made: os.kill(child, signal.SIGKILL); os.waitpid(child, 0)
        found = 10 < len(made) < 16
    """)
    assert found == "True"


@pytest.mark.parametrize(
    "code",
    [
        "call(libc.mount, b'tmpfs', b'/scratch', b'tmpfs', 0, 0)",
        "call(libc.unshare, 0x10000000)",
        "call(libc.syscall, 101 if os.uname().machine == 'x86_64' else 117, 16, 1, 0, 0)",
        "call(libc.syscall, 425, 8, 0)",
        "call(libc.setns, 0, 0)",
        "call(libc.chroot, b'/scratch')",
    ],
)
def test_it_makes_no_namespace_and_traces_nobody(attempt: Try, code: str) -> None:
    """Such system calls are refused."""
    found = attempt(f"""
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        def call(function, *arguments):
            result = function(*arguments)
            return result, os.strerror(ctypes.get_errno())
        found = {code}
    """)
    assert found == repr((-1, "Operation not permitted"))


@pytest.mark.parametrize(
    "name",
    ["shmget", "memfd_create", "memfd_secret", "open_tree_attr", "process_madvise", "listmount", "kcmp"],
)
def test_it_makes_no_call_that_only_pries_or_keeps_memory_of_no_process(attempt: Try, name: str) -> None:
    """Which no limit would count; these are refused by their numbers, whatever the arguments are."""
    number = seccomp.REFUSED[name][os.uname().machine == "aarch64"]
    found = attempt(f"""
        import ctypes, os
        result = ctypes.CDLL(None, use_errno=True).syscall({number}, 0, 0, 0, 0, 0)
        found = result, os.strerror(ctypes.get_errno())
    """)
    assert found == repr((-1, "Operation not permitted"))


def test_others_go_first(attempt: Try) -> None:
    """It is nicer than they, and the first to be killed where memory is short."""
    found = attempt("import os; found = os.nice(0) >= 10, open('/proc/self/oom_score_adj').read().strip()")
    assert found == "(True, '1000')"


def test_what_is_granted_can_be_read_and_written(tmp_path: Path) -> None:
    """``read_paths`` to read, ``write_paths`` to read and write."""
    for name in ("reading", "writing"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
        (tmp_path / name).chmod(0o777)
    reading, writing = str(tmp_path / "reading"), str(tmp_path / "writing")
    source = yielding(TRYING, "resources")
    apart = confined(tmp_path, source, read_paths=(reading,), write_paths=(writing,))
    run = trying(apart)

    assert run(f"found = open('{reading}/file').read(), open('{writing}/file').read()") == repr(
        ("reading", "writing")
    )
    assert "Error: [Errno" in run(f"open('{reading}/new', 'w')")
    assert run(f"found = open('{writing}/new', 'w').write('x')") == "1"
    apart.close()
    assert (tmp_path / "writing" / "new").read_text() == "x"


def test_the_network_can_be_granted(tmp_path: Path) -> None:
    """Then it reaches what the agent reaches."""
    apart = confined(tmp_path, yielding(TRYING, "resources"), network=True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        told = trying(apart)(f"""
            import socket
            socket.create_connection(("127.0.0.1", {port})).close()
            found = "there"
        """)
    apart.close()

    assert told == "'there'"


@pytest.mark.parametrize("family", ["AF_NETLINK", "AF_PACKET", "AF_VSOCK", "AF_ALG"])
def test_the_network_is_no_more_than_that(granted: Try, family: str) -> None:
    """Sockets of other families are refused with it, too."""
    assert granted(f"import socket; socket.socket(socket.{family}, socket.SOCK_RAW)") == (
        "PermissionError: [Errno 13] Permission denied"
    )
    assert granted("import socket; socket.socket(socket.AF_INET6).close(); found = 'made'") == "'made'"


def test_a_folder_that_holds_more_than_modules_is_not_read(tmp_path: Path) -> None:
    """Although modules may be in it; those of other folders are found as ever."""
    (tmp_path / "home").mkdir(mode=0o755)
    (tmp_path / "home" / "secret").write_text("secret")
    home, told = str(tmp_path / "home"), order(tmp_path, yielding(TRYING, "resources"))
    apart = StandIn(msgspec.structs.replace(told, paths=(home, *told.paths), wide=(home,)))
    found = trying(apart)(f"found = open('{home}/secret').read()")
    apart.close()

    assert found.startswith("FileNotFoundError")


AS_USER = """\
import os, sys
sys.path[:0] = [sys.argv[1]]
from meteragent.plugins.confined import kernel
kernel.unshare(kernel.NEW_USER)
for name, text in (("setgroups", "deny"), ("uid_map", "1000 0 1"), ("gid_map", "1000 0 1")):
    with open(f"/proc/self/{name}", "w") as file:
        file.write(text)
if sys.argv[2] == "none":
    with open("/proc/sys/user/max_user_namespaces", "w") as file:
        file.write("0")
os.execv(sys.executable, [sys.executable, "-c", sys.argv[3], *sys.argv[4:]])
"""
INSIDE = """\
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[1]]
from tests.plugins.confined.confining import confined, gone, yielding
from tests.plugins.confined.test_guards import TRYING, trying
apart = confined(Path(sys.argv[2]), yielding(TRYING, "resources"))
run = trying(apart)
print(list(apart.unguarded))
print(run("import os; found = os.getuid()"))
print(run("found = open('x', 'w').write('x')").partition(":")[0])
print(run(f"open('{sys.argv[2]}/written', 'w')").partition(":")[0])
print(run("found = open('/etc/shadow').read()").partition(":")[0])
print(run("import socket; socket.socket()").partition(":")[0])
left = "import os, time; found = os.fork() or (os.setsid(), os.fork(), time.sleep(1000))"
print(run(left)[:1] != "")
apart.close()
print(gone(Path(sys.argv[2])))
"""


def as_user(folder: Path, namespaces: str) -> list[Any]:
    """What is told by a stand-in in the process of an ordinary user."""
    ran = subprocess.run(
        [sys.executable, "-c", AS_USER, str(ROOT), namespaces, INSIDE, str(ROOT), str(folder)],
        check=False, capture_output=True, text=True, timeout=60, cwd=ROOT,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


@needs_root
def test_the_agent_of_an_ordinary_user_confines_as_well(tmp_path: Path) -> None:
    """As its own user, with all other guards."""
    told = as_user(tmp_path, "some")
    assert told == ["[]", "1000", "1", "OSError", "FileNotFoundError", "PermissionError", "True", "True"]


@needs_root
def test_what_a_lesser_kernel_lacks_is_told_and_the_rest_holds(tmp_path: Path) -> None:
    """Without namespaces, Landlock and seccomp guard, and what is left behind is ended all the same."""
    told = as_user(tmp_path, "none")
    assert told[0] == repr(
        [
            "no namespaces: No space left on device; what it leaves behind is looked for",
            "its threads go on between polls",
            "no limit of processes: there is no user namespace",
            "no folder of its own to write into",
        ]
    )
    assert told[1:] == ["1000", *["PermissionError"] * 4, "True", "True"]


WITHOUT_NAMESPACES = """\
import os, sys
sys.path[:0] = [sys.argv[1]]
from meteragent.plugins.confined import kernel
kernel.prctl(kernel.CAPBSET_DROP, 21)  # CAP_SYS_ADMIN, which makes them
os.execv(sys.executable, [sys.executable, "-c", *sys.argv[2:]])
"""
KILLED = """\
import os, signal, sys, time
from pathlib import Path
sys.path[:0] = [sys.argv[1]]
from tests.plugins.confined.confining import confined, yielding
from tests.plugins.confined.test_guards import TRYING, trying
apart = confined(Path(sys.argv[2]), yielding(TRYING, "resources"))
run = trying(apart)
for _ in range(1000):
    run("found = 1")
print("namespaces" in apart.unguarded[0])
plugin, keeper = eval(run("import os; found = os.getpid(), os.getppid()"))
os.kill(keeper, signal.SIGKILL)
until = time.monotonic() + 5
stat = Path(f"/proc/{plugin}/stat")
while stat.exists() and stat.read_text().split()[2] != "Z" and time.monotonic() < until:
    time.sleep(0.01)
print(time.monotonic() < until)
apart.close()
"""


@needs_root
def test_without_namespaces_nobody_waits_for_it_and_it_ends_with_its_keeper() -> None:
    """After a thousand calls, of which no process reads that it is to stop between them."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # without a view of its own, it comes there as nobody
        ran = subprocess.run(
            [sys.executable, "-c", WITHOUT_NAMESPACES, str(ROOT), KILLED, str(ROOT), folder],
            check=False, capture_output=True, text=True, timeout=60, cwd=ROOT,
        )  # fmt: skip
    assert ran.stdout.splitlines() == ["True", "True"], ran.stderr
