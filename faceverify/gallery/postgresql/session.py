"""A connection to PostgreSQL that comes back: reads are repeated, writes happen exactly once.

When the connection breaks while a transaction is committed, nobody was told whether it was. So each
transaction notes its session's id and a number in the table ``writers``, and is begun again: if the
number is there, it was committed, and only what was not is done again. (PostgreSQL's own number of
the transaction would not do, ``pg_xact_status``: after a crash another one may get it.)
"""

from __future__ import annotations

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

T = TypeVar("T")
Conn = Connection[tuple[Any, ...]]

RETRY_SECONDS = 30.0  # for a server that restarts, or another that takes over
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
REPEATABLE = (errors.SerializationFailure, errors.DeadlockDetected)  # rolled back as a whole

# What decides a result or a promise is not left to the server's configuration: the level that the
# counter of schema.py needs, and commits that wait for the disk; nor for how long a
# transaction holds its locks whose client has vanished. JIT compiling costs more than these
# queries, and a plan that is kept was made when the tables were smaller. A schema of the user's own
# choice cannot come before the gallery's.
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
    """Connect once.

    Raises:
        GalleryError: the server cannot be reached, or does not let this user in (code
            ``gallery-unreachable``).
    """
    try:
        return psycopg.connect(**address.parameters, autocommit=True)  # type: ignore[arg-type]
    except (psycopg.Error, UnicodeError) as problem:
        raise _unreachable(address, problem) from None  # its context holds the password


def enter(connection: Conn, address: Address) -> None:
    """Make the gallery's tables and pgvector's operators visible by their plain names."""
    connection.execute(SETTINGS, (address.schema,))
    row = connection.execute("SELECT to_regtype('vector')::oid").fetchone()
    if row is not None and row[0] is not None:
        register(connection, row[0])


class Session:
    """A connection to one gallery; use it from one thread at a time.

    Args:
        connection: as :func:`enter` left it.
    """

    def __init__(self, address: Address, connection: Conn) -> None:
        self._address = address
        self._connection = connection
        self._id = uuid.uuid4()
        self._writes = 0

    def close(self) -> None:
        """Let go of the connection, and take what was noted back."""
        with suppress(psycopg.Error):  # others tidy up after who cannot
            if self._writes and not self._connection.closed:
                self._connection.execute(TIDY, (self._id,))
        self._connection.close()

    def read(self, work: Callable[[Conn], T]) -> T:
        """Do what changes nothing, again where the connection broke.

        Raises:
            GalleryError: the server is gone for longer than RETRY_SECONDS, or refuses.
        """
        deadline = _RetryDeadline()
        while True:
            try:
                return work(self._connected(deadline))
            except psycopg.Error as problem:  # noqa: PERF203 - to try again
                self._wait_or_raise(problem, deadline)

    def write(self, work: Callable[[Conn], T]) -> T:
        """Do something in one transaction, exactly once.

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
                    # waits for the end of an attempt that the server still works on
                    if connection.execute(NOTE, (self._id, self._writes)).rowcount:
                        results = [work(connection)]
            except psycopg.Error as problem:  # noqa: PERF203 - to try again
                self._wait_or_raise(problem, deadline)
            else:
                return results[0]

    def outside(self, statement: str) -> None:
        """Run a command that cannot be part of a transaction, such as VACUUM."""
        self.read(lambda connection: connection.execute(statement))

    def _connected(self, deadline: _RetryDeadline) -> Conn:
        """The connection; a new one where it was lost, as soon as the server lets us in."""
        while self._connection.closed:
            try:
                connection = connect(self._address)
            except GalleryError as problem:
                if not deadline.left():
                    raise GalleryError(
                        f"{problem}: not back within {RETRY_SECONDS:g} s",
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
    """How long one call has waited already."""

    def __init__(self) -> None:
        self._end = time.monotonic() + RETRY_SECONDS
        self._pause = FIRST_PAUSE

    def left(self) -> bool:
        return time.monotonic() < self._end

    def pause(self) -> None:
        time.sleep(self._pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)


def refused(address: Address, problem: psycopg.Error) -> GalleryError:
    """What the server said, in one line; never its details, which may hold what is stored."""
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
