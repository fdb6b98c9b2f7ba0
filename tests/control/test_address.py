"""Where the agent listens."""

import socket
import threading
from pathlib import Path

import pytest

from meteragent.control import address
from meteragent.state_folder import SOCKET


def test_a_socket_that_is_seen_is_listened_to(tmp_path: Path) -> None:
    """There is no moment at which its name is there and who connects is refused."""
    done = threading.Event()
    refused: list[OSError] = []
    listeners: list[socket.socket] = []

    def connect() -> None:
        while not done.is_set():
            try:
                address.connect(tmp_path, 1).close()
            except (FileNotFoundError, BlockingIOError):  # not yet there, or nobody accepts
                continue
            except OSError as error:
                refused.append(error)

    asking = threading.Thread(target=connect)
    asking.start()
    for _ in range(300):
        listeners.append(address.listen(tmp_path))
        (tmp_path / SOCKET).unlink()
    done.set()
    asking.join()
    for listener in listeners:
        listener.close()

    assert not refused


@pytest.mark.parametrize("name", [SOCKET, "agent.new"])
def test_what_is_no_socket_is_left_alone(tmp_path: Path, name: str) -> None:
    """A file that has the name stays; a socket that a killed agent left is replaced."""
    (tmp_path / name).write_text("mine")
    with pytest.raises(FileExistsError, match="is there and is no socket"):
        address.listen(tmp_path)
    assert (tmp_path / name).read_text() == "mine"

    (tmp_path / name).unlink()
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / name))
    left.close()
    address.listen(tmp_path).close()
