"""The store as it is read beside an agent: the file itself, or through the agent where only that can."""

from typing import TYPE_CHECKING

from meteragent.clock import Clock

if TYPE_CHECKING:
    from meteragent.config import Settings
    from meteragent.storage.base import StorageDriver


def reader(settings: "Settings") -> "StorageDriver":
    """A driver for reading; the caller closes it.

    :raises ConfigError: when the one that the config names is not installed, or cannot use its URL
    """
    from meteragent.assembly import make_driver

    driver: StorageDriver = make_driver(settings, Clock(), read_only=True)
    if getattr(driver, "shared", True):
        return driver
    from meteragent.control import address
    from meteragent.control.remote import RemoteDriver

    try:
        address.connect(settings.state_dir, 1.0).close()
    except OSError:  # no agent runs, so the file can be opened
        return driver
    driver.close()
    return RemoteDriver(settings.state_dir)
