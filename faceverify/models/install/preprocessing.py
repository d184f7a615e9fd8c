"""What a user says of a net's input and output, where its graph does not tell."""

from __future__ import annotations

import math
from dataclasses import dataclass

from faceverify.errors import UsageError
from faceverify.models.contract import COLOUR_ORDERS

Channels = tuple[float, float, float]

USUAL, PIXELS = (127.5, 127.5), (0.0, 1.0)  # mean and scale: of InsightFace; of a net that has them


@dataclass(frozen=True)
class Preprocessing:
    """Statements of the user about a net; None or "" where there is none.

    Attributes:
        colour_order: of its input: "RGB", or "BGR" for models trained in OpenCV's order.
        mean, scale: its input is (x - mean) / scale, x in [0, 255]; a number a channel, in the
            colour order.
        output: the name of the output that is the embedding.
    """

    colour_order: str = ""
    mean: Channels | None = None
    scale: Channels | None = None
    output: str = ""

    def __post_init__(self) -> None:
        """Check it; UsageError if it contradicts itself."""
        if self.colour_order and self.colour_order not in COLOUR_ORDERS:
            raise UsageError(f"colour order {self.colour_order!r}", cure="RGB or BGR")
        if (self.mean is None) != (self.scale is None):
            raise UsageError("--mean and --scale belong together", cure="give both, or neither")

    def normalisation(self, itself: bool | None, name: str) -> tuple[Channels, Channels]:
        """Mean and scale of a net.

        Args:
            itself: whether it was found to normalise its input itself; None where not known.
            name: of the net, for messages.

        Raises:
            UsageError: not known, and not stated.
        """
        if self.mean and self.scale:
            return self.mean, self.scale
        if itself is None:
            raise UsageError(
                f"{name}: its embeddings do not show whether it normalises its input itself",
                cure="--mean 0 --scale 1 if it does; if not, such as --mean 127.5 --scale 128",
            )
        mean, scale = PIXELS if itself else USUAL
        return (mean,) * 3, (scale,) * 3


UNSTATED = Preprocessing()


def channels(text: str, option: str) -> Channels | None:
    """The numbers of an option: one for all channels, or three with commas between; None for "".

    Raises:
        UsageError: they are not, or not finite; or a scale is 0.
    """
    if not text:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        numbers *= 3
    usable = all(map(math.isfinite, numbers)) and not (option == "--scale" and 0 in numbers)
    match numbers:
        case [first, second, third] if usable:
            return first, second, third
    raise UsageError(
        f"{option} {text!r}: neither a number nor three",
        cure=f"such as {option} 127.5, or {option} 123.7,116.3,103.5; no scale is 0",
    )
