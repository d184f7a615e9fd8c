"""A real Milvus server in a network namespace of its own, of the ``milvus`` wheel.

The server listens on all interfaces, and on another port when its own is taken: in a namespace it
meets nobody. Its wheel wants an environment of its own, which pip makes in a temporary folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = "milvus==2.3.5"
ADDRESS = "127.0.0.1:19530"
SECONDS = 120  # until a server that does not start has failed
READY = f"from pymilvus import MilvusClient; MilvusClient('http://{ADDRESS}', timeout=2)"


class Unavailable(Exception):
    """The machine cannot run one; tells why."""


@dataclass
class Server:
    """A server in its namespace.

    Attributes:
        namespace: its name.
        folder: of the environment, the data and the log.
    """

    namespace: str
    folder: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def run(self, *command: str, **options: object) -> subprocess.CompletedProcess[str]:
        """Run a command beside the server."""
        inside = ["ip", "netns", "exec", self.namespace, *command]
        return subprocess.run(inside, capture_output=True, text=True, check=False, **options)

    def start(self) -> None:
        """Start it and wait until it answers."""
        binary, data = self.folder / "venv" / "bin" / "milvus-server", self.folder / "data"
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, binary, "--data", data],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + SECONDS
        while self.run(sys.executable, "-c", READY).returncode:
            if self._process.poll() is not None or time.monotonic() > end:
                raise Unavailable(f"Milvus did not start: {(self.folder / 'log').read_text()}")
            time.sleep(1)

    def stop(self) -> None:
        """Kill it: what it acknowledged must be there when it starts again."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@contextmanager
def milvus_server() -> Iterator[Server]:
    """Install a server, run it, and take all of it away.

    Raises:
        Unavailable: there are no namespaces here, or the wheel cannot be installed.
    """
    namespace = f"faceverify-{os.getpid()}"
    folder = Path(tempfile.mkdtemp(prefix="faceverify-milvus-"))
    try:
        _execute("ip", "netns", "add", namespace)
        try:
            _execute("ip", "-n", namespace, "link", "set", "lo", "up")
            venv.create(folder / "venv", with_pip=True)
            _execute(str(folder / "venv" / "bin" / "pip"), "install", "--quiet", PACKAGE)
            server = Server(namespace, folder)
            try:
                server.start()
                yield server
            finally:
                server.stop()
        finally:
            _execute("ip", "netns", "delete", namespace)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _execute(*command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as problem:
        raise Unavailable(f"{command[0]} is missing") from problem
    except subprocess.CalledProcessError as problem:
        raise Unavailable(f"{' '.join(command)}: {problem.stderr[-300:]}") from problem
