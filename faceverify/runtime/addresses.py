"""Addresses: what looks like a URL is never taken for the path of a file or a folder.

A path is not tidied up by whoever writes to it: ``s3://bucket/out`` would become a folder called
``s3:``, and ``mysql://user:password@host`` one whose name is the password. So what looks like an
address is one of those known at its place, or an error that repeats no more of it than its scheme.

>>> scheme_of("s3://bucket/a.jpg"), scheme_of("Postgresql:/db"), scheme_of("jdbc:mysql://db")
('s3', 'Postgresql', 'jdbc:mysql')
>>> scheme_of("./s3:/a.jpg"), scheme_of("C:/photos"), scheme_of("a.jpg"), scheme_of("12:30/a.jpg")
('', '', '', '')
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from faceverify.errors import UsageError

# Two letters at least: one is a drive of Windows. In front, what a shell or an .env file left.
_SCHEME = re.compile(
    r"""[\s"'<(\ufeff]*
    (?:([A-Za-z][\w+.-]+(?::[A-Za-z][\w+.-]+)*):[/\\]
    | (s3|gs|gcs|abfss?|hdfs|https?|file|ftp|sftp|postgres(?:ql)?|milvus|mysql|redis):
    | (data):\w+/[\w.+-]+[;,])""",
    re.VERBOSE | re.IGNORECASE,
)
_REMOTE_HOST = re.compile(r"//[^/@]*:\S*@|[^./~\s][^/\s@]*@[\w.-]+:")  # of no scheme; of scp

# What others call the things that are known here.
_OTHER_NAMES = {
    "pg": "postgresql", "pgsql": "postgresql", "psql": "postgresql", "pgvector": "postgresql",
    "cockroachdb": "postgresql", "timescaledb": "postgresql", "zilliz": "milvus",
    "s3a": "s3", "s3n": "s3", "minio": "s3", "r2": "s3", "gcs": "gs", "azure": "abfs", "az": "abfs",
    "adl": "abfs", "wasb": "abfs", "wasbs": "abfs",
}  # fmt: skip


def scheme_of(text: str) -> str:
    """Scheme of a text that looks like a URL; empty for a path."""
    match = _SCHEME.match(text)
    return match[match.lastindex or 0] if match else ""


def nearest_scheme(scheme: str, known: Sequence[str]) -> str:
    """The known scheme that an unknown one was most likely meant to be; empty if none is near.

    >>> nearest_scheme("postgresql+psycopg2", ["postgresql", "milvus"])
    'postgresql'
    >>> nearest_scheme("redis", ["postgresql", "milvus"])
    ''
    """
    import difflib  # for an error alone

    # of "jdbc:postgresql" and "postgresql+asyncpg", the words
    for word in re.split(r"[:+]", scheme.lower()):
        word = _OTHER_NAMES.get(word, word)
        if near := difflib.get_close_matches(word, known, n=1, cutoff=0.7):
            return near[0]
    return ""


def check_path(text: str, name: str, *, cure: str = "") -> None:
    """Check that the path of a file or folder is no address.

    Args:
        text: the path.
        name: of the argument, for the message, such as ``--out``.
        cure: what to do instead; by default to copy from there or to there.

    Raises:
        UsageError: it looks like one; its message has the scheme alone.
    """
    scheme = scheme_of(text)
    if scheme == "file":
        raise UsageError(
            f"{name}: file://... is a URL", cure=cure or "give it as a path, /like/this"
        )
    if scheme:
        raise UsageError(
            f"{name}: {scheme}://... is a URL, where a path on this machine is needed",
            cure=cure or "give a path, and copy to the URL or from it",
        )
    if _REMOTE_HOST.match(text):
        raise UsageError(
            f"{name}: looks like USER@HOST:PATH, where a path on this machine is needed",
            cure=cure or "give a path, and copy to that host or from it",
        )
