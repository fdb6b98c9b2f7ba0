"""Starts servers for a test and ends with it, however the test ends: then nothing of them is left.

A process of its own, since one that is killed cannot tidy up. It is told what to do in lines of JSON:
``{"start": [command], "env": {}, "output": path}`` is answered by the id of a process group, and the end of
its input means the end of all.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys


def main(folder: str) -> None:
    """Serve until the input ends, then kill what was started and remove the folder."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    started: list[subprocess.Popen[bytes]] = []
    try:
        for line in sys.stdin:
            order = json.loads(line)
            for each in started:
                each.poll()
            with open(order["output"], "ab") as output:
                process = subprocess.Popen(
                    order["start"],
                    env=order["env"],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=folder,
                    start_new_session=True,
                )
            started.append(process)
            print(process.pid, flush=True)
    finally:
        for process in started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in started:
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
