"""Time exact search in an embedded gallery beside one read of its matrix, and beside FAISS.

Target: the exact top 5 of 1,000,000 x 128 in at most 1.5 times the time to read the stored matrix
once from memory, with less than 100 MB beside the mapped matrix. The read is numpy's sum over the
very pages that the search maps, by one thread and by all, whichever is faster; rounds alternate, so
that a busy machine slows all alike, and the time of processors is there, too. FAISS
(``faiss-cpu``) has a copy of the matrix in memory. Counting the bits of codes of 512 bits stands
beside FAISS IndexBinaryFlat: target at most 1.3 of its time.

Usage: ``python scripts/bench_search.py`` (some minutes, 1.5 GB of disk in ``--folder``)
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from faceverify.choices import CodeMethod, Fusion, SearchMethod
from faceverify.gallery.sqlite.binary_scan import nearest_codes
from faceverify.gallery.sqlite.database import Database
from faceverify.gallery.sqlite.nearest import Rows
from faceverify.gallery.sqlite.search_files import read_search_file
from faceverify.gallery.sqlite.store import SqliteStore
from faceverify.gallery.store import Enrolment
from faceverify.runtime.parallel import default_workers

MODEL, TEMPLATES, COUNT = "0123456789abcdef", 5, 5
BITS = 512
CODED = f"search by codes, {BITS} bits"
COUNTED, BINARY = "counting bits alone", "FAISS IndexBinaryFlat"
Rounds = dict[str, list[tuple[float, float]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="templates")
    parser.add_argument("--width", type=int, default=128, help="numbers of an embedding")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--folder", type=Path, help="where the gallery is made and removed again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        gallery = Path(folder, "gallery")
        fill(gallery, options.count, options.width)
        beside = in_a_process_of_its_own(memory_beside, gallery, options.width)
        times, checked = in_a_process_of_its_own(measure, gallery, options.width, options.rounds)
    show(times, options.count, options.width, beside, checked)


def fill(gallery: Path, count: int, width: int) -> None:
    with SqliteStore(str(gallery), create=True) as store:
        for start in range(0, count, 10_000):
            rows = unit_rows(min(10_000, count - start), width, seed=start + 1)
            store.add(
                [
                    Enrolment(
                        f"person {index // TEMPLATES}",
                        row,
                        f"/photos/{index}.jpg",
                        hashlib.sha256(b"%d" % index).digest(),
                        0.9,
                    )
                    for index, row in enumerate(rows, start)
                ],
                model=MODEL,
            )


def measure(gallery: Path, width: int, rounds: int) -> tuple[Rounds, bool]:
    """Seconds of each way by the clock and of processors; whether FAISS found the same."""
    queries = unit_rows(200, width, seed=0)
    turn = iter(range(10**9))

    def query() -> NDArray[np.float32]:
        return queries[next(turn) % len(queries)][None]

    with ExitStack() as stack:
        store = stack.enter_context(SqliteStore(str(gallery)))
        store.search(queries[:1], COUNT, model=MODEL)
        base = mapped(gallery)
        words = np.array_split(base.embeddings.reshape(-1).view(np.uint64), 64)
        pool = ThreadPoolExecutor(default_workers())
        ways: dict[str, Callable[[], object]] = {
            "one read, one thread": lambda: [np.add.reduce(part) for part in words],
            "one read, all threads": lambda: list(pool.map(np.add.reduce, words)),
            "search": lambda: store.search(query(), COUNT, model=MODEL),
            "search, fusion mean": lambda: store.search(
                query(), COUNT, model=MODEL, fusion=Fusion.MEAN
            ),
            "search, 10 queries": lambda: store.search(queries[:10], COUNT, model=MODEL),
        }
        same = True
        try:
            import faiss
        except ImportError:
            pass
        else:
            index = faiss.IndexFlatIP(width)
            index.add(base.embeddings)
            ways["FAISS IndexFlatIP"] = lambda: index.search(query(), COUNT)
            coded = stack.enter_context(SqliteStore(str(gallery), search=SearchMethod.CODES))
            coded.fit_codes(MODEL, bits=BITS, method=CodeMethod.CENTRED)
            ways[CODED] = lambda: coded.search(query(), COUNT, model=MODEL)
            codes = np.packbits(base.embeddings @ unit_rows(width, BITS, seed=2) > 0, axis=1)
            ways[COUNTED] = lambda: nearest_codes(codes[next(turn)][None], codes, 200)
            binary = faiss.IndexBinaryFlat(BITS)
            binary.add(codes)
            ways[BINARY] = lambda: binary.search(codes[next(turn)][None], 200)
            _, found = index.search(queries[:20], 1)
            ours = store.search(queries[:20], 1, model=MODEL)
            same = [int(base.sequences[row]) for row in found[:, 0]] == [
                one.sequence for (one,) in ours
            ]
        times: Rounds = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                start, used = time.perf_counter(), time.process_time()
                way()
                times[name].append((time.perf_counter() - start, time.process_time() - used))
    return times, same


def memory_beside(gallery: Path, width: int) -> float:
    """MB of this process that are not mapped files, after some searches."""
    with SqliteStore(str(gallery)) as store:
        for query in unit_rows(5, width, seed=0):
            store.search(query[None], COUNT, model=MODEL)
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("RssAnon"):
                return int(line.split()[1]) / 1024
    return float("nan")


def mapped(gallery: Path) -> Rows:
    """The search file, mapped: the same pages of memory as the store's."""
    found = read_search_file(Database(gallery, create=False, key=None), MODEL)
    assert found is not None
    _, columns = found
    return Rows(columns["embedding"], columns["identity"], columns["sequence"])


def show(times: Rounds, count: int, width: int, beside: float, same: bool) -> None:
    clock = {name: median(one for one, _ in rounds) for name, rounds in times.items()}
    used = {name: median(one for _, one in rounds) for name, rounds in times.items()}
    reads = [name for name in times if "read" in name]
    read, worked = (min(seconds[name] for name in reads) for seconds in (clock, used))
    table = Table("what", "p50 ms", "times one read", "target", "processor ms", "times one read")
    for name in times:
        table.add_row(
            name,
            f"{clock[name] * 1e3:.1f}",
            f"{clock[name] / read:.2f}",
            "1.5" if name == "search" else "",
            f"{used[name] * 1e3:.1f}",
            f"{used[name] / worked:.2f}",
        )
    console = Console()
    console.print(f"{count:,} templates x {width}, {default_workers()} processors")
    console.print(table)
    if BINARY in times:
        ratio = clock[COUNTED] / clock[BINARY]
        console.print(f"counting bits beside FAISS IndexBinaryFlat: {ratio:.2f} (target 1.3)")
    console.print(f"memory beside the mapped matrix: {beside:.0f} MB (target 100)")
    console.print(f"FAISS finds the same nearest templates: {'yes' if same else 'NO'}")


def unit_rows(count: int, width: int, *, seed: int) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((count, width), dtype=np.float32)
    unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def in_a_process_of_its_own(function, *values):  # type: ignore[no-untyped-def]
    """What a new process returns: nothing of ours is in its memory."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, values)


if __name__ == "__main__":
    main()
