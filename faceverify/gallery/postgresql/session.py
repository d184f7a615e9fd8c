"""Reconnecting session with PostgreSQL: reads are retried, writes happen exactly once.

If the connection breaks during a commit, the client does not know whether it was committed. So each
transaction records its session's id and a number in the table ``writers``; after reconnecting it is
started again, and the number shows whether it was committed. (PostgreSQL's transaction id, with
``pg_xact_status``, does not serve: after a crash it may be given again.)
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import psycopg
from psycopg import Connection, errors

from faceverify.errors import GalleryError
from faceverify.gallery.postgresql.address import Address
from faceverify.gallery.postgresql.vectors import register
from faceverify.runtime.patience import seconds_to_wait

T = TypeVar("T")
Conn = Connection[tuple[Any, ...]]

CONNECT_SECONDS = 10.0
RETRY_SECONDS = 30.0  # for a server that restarts, or another that takes over
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
REPEATABLE = (errors.SerializationFailure, errors.DeadlockDetected)  # rolled back as a whole

# Settings that results and guarantees depend on, whatever the server's configuration: the isolation
# level that the counter of schema.py needs, commits that wait for the disk, and keepalives, which
# limit how long a vanished client holds its locks. JIT compilation costs more than these queries,
# and a cached plan was made when the tables were smaller. The gallery's schema comes first in the
# search path.
SETTINGS = """
SELECT set_config('default_transaction_isolation', 'read committed', false),
  set_config('synchronous_commit', CASE current_setting('synchronous_commit')
    WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false),
  set_config('tcp_keepalives_idle', '30', false),
  set_config('tcp_keepalives_interval', '10', false),
  set_config('jit', 'off', false),
  set_config('plan_cache_mode', 'force_custom_plan', false),
  set_config('search_path', concat_ws(', ', quote_ident(%s), (
    SELECT quote_ident(nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE extname = 'vector'), 'pg_temp'), false)
"""

NOTE = """
INSERT INTO writers (id, last_write) VALUES (%s, %s) ON CONFLICT (id)
DO UPDATE SET last_write = excluded.last_write, time = excluded.time
WHERE writers.last_write < excluded.last_write
"""
TIDY = "DELETE FROM writers WHERE id = %s OR time < now() - interval '7 days'"


def connect(address: Address) -> Conn:
    """Connect to the server, in one attempt.

    Raises:
        GalleryError: the server cannot be reached, or refuses the user (code
            ``gallery-unreachable``).
    """
    limit = str(math.ceil(seconds_to_wait(CONNECT_SECONDS)))
    parameters: dict[str, Any] = {"connect_timeout": limit} | address.parameters
    try:
        return psycopg.connect(**parameters, autocommit=True)
    except (psycopg.Error, UnicodeError) as problem:
        raise _unreachable(address, problem) from None  # the context contains the password


def connect_when_started(address: Address) -> Conn:
    """Connect to the server, which may still be starting up.

    Raises:
        GalleryError: as :func:`connect`.
    """
    deadline = _RetryDeadline()
    while True:
        try:
            return connect(address)
        except GalleryError as problem:  # noqa: PERF203 - to try again
            if "starting up" not in str(problem) or not deadline.left():
                raise
            deadline.pause()


def enter(connection: Conn, address: Address) -> None:
    """Apply SETTINGS, with the gallery's schema as search path, and register pgvector's type."""
    connection.execute(SETTINGS, (address.schema,))
    row = connection.execute("SELECT to_regtype('vector')::oid").fetchone()
    if row is not None and row[0] is not None:
        register(connection, row[0])


class Session:
    """Reconnecting session with one gallery; used by one thread at a time.

    Args:
        address: the gallery.
        connection: a connection after :func:`enter`.
    """

    def __init__(self, address: Address, connection: Conn) -> None:
        self._address = address
        self._connection = connection
        self._id = uuid.uuid4()
        self._writes = 0

    def close(self) -> None:
        """Delete the session's row in ``writers`` and close the connection."""
        with suppress(psycopg.Error):  # another session deletes old rows
            if self._writes and not self._connection.closed:
                self._connection.execute(TIDY, (self._id,))
        self._connection.close()

    def read(self, work: Callable[[Conn], T]) -> T:
        """Run a read-only function, again if the connection breaks.

        Raises:
            GalleryError: the server is away for longer than RETRY_SECONDS, or refuses.
        """
        deadline = _RetryDeadline()
        while True:
            try:
                return work(self._connected(deadline))
            except psycopg.Error as problem:  # noqa: PERF203 - to try again
                self._wait_or_raise(problem, deadline)

    def write(self, work: Callable[[Conn], T]) -> T:
        """Run a function in one transaction, exactly once.

        Raises:
            GalleryError: as :meth:`read`.
        """
        deadline = _RetryDeadline()
        self._writes += 1
        results: list[T] = []
        while True:
            try:
                connection = self._connected(deadline)
                with connection.transaction():
                    # waits for an earlier attempt that the server is still processing
                    if connection.execute(NOTE, (self._id, self._writes)).rowcount:
                        results = [work(connection)]
            except psycopg.Error as problem:  # noqa: PERF203 - to try again
                self._wait_or_raise(problem, deadline)
            else:
                return results[0]

    def outside(self, statement: str) -> None:
        """Run a statement outside a transaction, such as VACUUM."""
        self.read(lambda connection: connection.execute(statement))

    def _connected(self, deadline: _RetryDeadline) -> Conn:
        """The connection, re-established if it was lost."""
        while self._connection.closed:
            try:
                connection = connect(self._address)
            except GalleryError as problem:
                if not deadline.left():
                    raise GalleryError(
                        f"{problem}: not back within {deadline.seconds:g} s",
                        cure="try again: what was stored is not stored twice",
                        code="gallery-unreachable",
                    ) from None
                deadline.pause()
                continue
            self._connection = connection
            enter(connection, self._address)
        return self._connection

    def _is_lost(self, problem: psycopg.Error) -> bool:
        return self._connection.closed or self._connection.broken

    def _wait_or_raise(self, problem: psycopg.Error, deadline: _RetryDeadline) -> None:
        if self._is_lost(problem):
            self._connection.close()
        elif not isinstance(problem, REPEATABLE):
            raise refused(self._address, problem) from problem
        if not deadline.left():
            raise _unreachable(self._address, problem) from problem
        deadline.pause()


class _RetryDeadline:
    """Deadline and back-off of the retries of one call."""

    def __init__(self) -> None:
        self.seconds = seconds_to_wait(RETRY_SECONDS)
        self._end = time.monotonic() + self.seconds
        self._pause = FIRST_PAUSE

    def left(self) -> bool:
        return time.monotonic() < self._end

    def pause(self) -> None:
        time.sleep(self._pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)


def refused(address: Address, problem: psycopg.Error) -> GalleryError:
    """The server's error in one line, without its details, which may contain stored data."""
    text = problem.diag.message_primary or str(problem).partition("\n")[0]
    cure, code = "", None
    if isinstance(problem, errors.InsufficientPrivilege):
        cure = "ask the gallery's owner for its role (`faceverify gallery roles`)"
    elif isinstance(problem, errors.ReadOnlySqlTransaction):
        cure = "name the server that may be written to, not its copy"
    elif isinstance(problem, errors.DiskFull):
        cure = "free some space on the server: nothing acknowledged was lost"
    elif isinstance(problem, (errors.LockNotAvailable, errors.QueryCanceled)):
        cure, code = "try again, or raise the server's timeouts", "gallery-locked"
    elif isinstance(problem, (errors.DataCorrupted, errors.IndexCorrupted)):
        cure, code = "restore a backup", "gallery-damaged"
    return GalleryError(f"{address.shown}: {text}", cure=cure, code=code)


def _unreachable(address: Address, problem: Exception) -> GalleryError:
    reasons = [line.strip() for line in str(problem).splitlines() if line.strip()]
    reason = reasons[-1] if reasons else "no reason given"
    for password in filter(None, (address.parameters.get("password"),)):
        reason = reason.replace(password, "***")
    cure = "check host, port and that the server runs"
    if "password" in reason:
        cure = "check user and password (in the URL, PGPASSWORD or ~/.pgpass)"
    elif "pg_hba" in reason or "role" in reason or "database" in reason:
        cure = "check user and database, and that the server lets them in"
    return GalleryError(f"{address.shown}: {reason}", cure=cure, code="gallery-unreachable")
