"""Golden values: what the commands said of fixed inputs, kept in the JSON files beside this one.

They are the net under changes that are to change no result. To change a result on purpose:
``python -m pytest tests/golden --write-golden``, then read the difference before it is committed.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
WIDTH = 100
DECIMAL = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")


def stable(value: Any, paths: Mapping[str, str], volatile: Collection[str] = ()) -> Any:
    """A value without what differs from run to run and from machine to machine.

    Args:
        paths: what to write instead of a path of this machine.
        volatile: keys of which only the type of the value is kept: times, sizes of files.
    """
    if isinstance(value, dict):
        return {
            key: f"<{type(one).__name__}>" if key in volatile else stable(one, paths, volatile)
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [stable(one, paths, volatile) for one in value]
    if isinstance(value, float):
        return float(f"{value:.7g}")
    if isinstance(value, str):
        for path, name in paths.items():
            value = value.replace(path, name)
    return value


def differences(
    found: Any, golden: Any, tolerances: Mapping[str, float], place: str = "", key: str = ""
) -> Iterator[str]:
    """One line for each place where two values differ by more than the processor explains.

    Numbers in texts are numbers, too. Whole numbers, and all else, must be the same.

    Args:
        tolerances: largest difference by key, of the key and of all below it; "" is of all others.
            It is relative for numbers above 1.
        place, key: where the values are; for the lines and the tolerances.
    """
    if isinstance(found, dict) and isinstance(golden, dict):
        for name in golden.keys() | found.keys():
            if name not in found or name not in golden:
                yield f"{place}/{name}: {'gone' if name in golden else 'new'}"
                continue
            nearest = name if name in tolerances else key
            yield from differences(
                found[name], golden[name], tolerances, f"{place}/{name}", nearest
            )
    elif isinstance(found, list) and isinstance(golden, list):
        if len(found) != len(golden):
            yield f"{place}: {len(found)} values, expected {len(golden)}"
        for index, (one, other) in enumerate(zip(found, golden, strict=False)):
            yield from differences(one, other, tolerances, f"{place}[{index}]", key)
    elif isinstance(found, float) and isinstance(golden, (float, int)):
        if abs(found - golden) > tolerances[key] * max(1, abs(golden)):
            yield f"{place}: {found!r}, expected {golden!r} within {tolerances[key]:g}"
    elif isinstance(found, str) and isinstance(golden, str) and DECIMAL.search(golden):
        numbers = [[float(one) for one in DECIMAL.findall(text)] for text in (found, golden)]
        yield from differences(*numbers, tolerances, place, key)
        yield from differences(*(DECIMAL.sub("N", text) for text in (found, golden)), {}, place)
    elif type(found) is not type(golden) or found != golden:
        yield f"{place}: {found!r}, expected {golden!r}"


def check(name: str, found: Any, tolerances: Mapping[str, float], *, write: bool) -> None:
    """Compare with the golden values of this name, or write them.

    Raises:
        AssertionError: they differ; names each place.
    """
    path = HERE / f"{name}.json"
    if write:
        path.write_text("\n".join(lines(found)) + "\n", encoding="utf-8")
    golden = json.loads(path.read_text(encoding="utf-8"))
    different = list(differences(found, golden, tolerances))
    assert not different, "\n".join(
        [f"{len(different)} values are not those of {path.name}:", *different[:40]]
    )


def lines(value: Any, indent: str = "") -> Iterator[str]:
    """JSON for a reviewer: what fits on a line stands on one, and rows of numbers fill theirs."""
    whole = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, (dict, list)) or len(indent) + len(whole) < WIDTH:
        yield indent + whole
        return
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    yield indent + opening
    if isinstance(value, list) and all(isinstance(one, (int, float)) for one in value):
        yield from textwrap.wrap(
            whole[1:-1], WIDTH, initial_indent=f"{indent} ", subsequent_indent=f"{indent} "
        )
    else:
        pairs = value.items() if isinstance(value, dict) else ((None, one) for one in value)
        for number, (key, one) in enumerate(pairs, start=1):
            first, *rest = lines(one, indent + " ")
            name = "" if key is None else json.dumps(key, ensure_ascii=False) + ": "
            block = [f"{indent} {name}{first.strip()}", *rest]
            block[-1] += "," * (number < len(value))
            yield from block
    yield indent + closing
