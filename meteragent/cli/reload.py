"""`meteragent reload`: the agent that runs reads its configuration again."""

import argparse
from pathlib import Path

from meteragent.cli.command import Command


class Reload(Command):
    """Have the running agent read its configuration again and change what differs."""

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Ask it, and print what has changed."""
        del parsed_args
        import msgspec

        from meteragent.control.client import asked
        from meteragent.control.routes import Reloaded
        from meteragent.errors import Unavailable
        from meteragent.plain import printable

        waiting = self.progress("waiting for the agent; Ctrl-C ends the waiting only")
        with waiting, asked(self._state_dir(), "POST", "/reload") as answer:
            try:
                reloaded = msgspec.json.decode(answer.read(), type=Reloaded)
            except msgspec.DecodeError:
                raise Unavailable("the agent's answer was cut off; its log tells what was reloaded") from None
        for line in reloaded.changes:
            self.app.stdout.write(f"{printable(line)}\n")
        return 0

    def _state_dir(self) -> Path:
        """The state folder; what is wrong with the configuration is for the agent to find, too.

        :raises ConfigError: when only a configuration that cannot be used would tell it
        """
        from meteragent import state_folder

        named = self.program.options.state_dir
        return self.settings().state_dir if named is None else state_folder.checked(named)
