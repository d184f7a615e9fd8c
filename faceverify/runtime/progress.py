"""Progress callbacks: how an engine shows how far it is without knowing a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class ShowProgress(Protocol):
    """Wraps a stream of items, passes each on, and shows how many there were."""

    def __call__(self, items: Iterable[Item], label: str, total: int | None, /) -> Iterator[Item]:
        """Pass the items on.

        Args:
            items: the stream.
            label: what the items are, in a word or two.
            total: how many there will be; None where that is not known.
        """


def no_progress(items: Iterable[Item], label: str, total: int | None, /) -> Iterator[Item]:
    """Pass the items on and show nothing."""
    del label, total
    return iter(items)
