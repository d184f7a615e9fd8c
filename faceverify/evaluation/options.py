"""Options of the protocols that judge embeddings; light, as argument parsing imports them."""

from __future__ import annotations

from dataclasses import dataclass, fields

from faceverify.choices import Distance
from faceverify.errors import UsageError

NEIGHBOURS = 20
"""Neighbours that vote, where nothing else is asked for (as in DINO)."""

SPLIT = 0.5
"""Share of each person's photos that a linear classifier learns from."""


@dataclass(frozen=True, kw_only=True)
class ProtocolOptions:
    """Options of single protocols.

    Raises:
        UsageError: a value out of its range.
    """

    distance: Distance = Distance.COSINE
    """By which pairs are ordered, and nearest photos found."""

    k: int | None = None
    """Neighbours that vote; None for 20, or as many as there are."""

    split: float | None = None
    """Share of each person's photos that are learned from; None for the list's own split, or else
    leave-one-out (knn) and a half (linear)."""

    ways: int = 5
    """People in an episode."""

    shots: tuple[int, ...] = (1, 5)
    """Known photos of each person in an episode."""

    queries: int = 15
    """Asked photos of each person in an episode."""

    episodes: int = 1000
    """Number of episodes."""

    seed: int = 0
    """Of splits and episodes."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "distance", Distance(self.distance))
        object.__setattr__(self, "shots", tuple(self.shots))
        if self.k is not None and self.k < 1:
            raise UsageError(f"--k {self.k}: expected 1 or more")
        if self.split is not None and not 0 < self.split < 1:
            raise UsageError(f"--split {self.split:g}: expected a share between 0 and 1")
        if self.ways < 2:
            raise UsageError(f"--ways {self.ways}: expected 2 people or more")
        if not self.shots or min(self.shots) < 1:
            raise UsageError(f"--shots {min(self.shots, default=0)}: expected 1 or more")
        for name in ("queries", "episodes"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name} {getattr(self, name)}: expected 1 or more")
        if self.seed < 0:
            raise UsageError(f"--seed {self.seed}: expected 0 or more")

    def require_used_by(self, protocol: str) -> None:
        """Check that every option that was changed belongs to a protocol, such as "knn".

        Raises:
            UsageError: one belongs to other protocols.
        """
        for one in fields(self):
            if getattr(self, one.name) != one.default and protocol not in USED_BY[one.name]:
                known = " or ".join(USED_BY[one.name])
                raise UsageError(
                    f"--{one.name} is no option of {protocol}",
                    cure=f"it goes with --protocol {known}",
                )


USED_BY: dict[str, tuple[str, ...]] = {
    "distance": ("10fold", "knn", "retrieval"),
    "k": ("knn",),
    "split": ("knn", "linear"),
    "ways": ("few-shot",),
    "shots": ("few-shot",),
    "queries": ("few-shot",),
    "episodes": ("few-shot",),
    "seed": ("knn", "linear", "few-shot"),
}
"""The protocols that an option belongs to."""
