"""The preprocessing contract: how a photo's face must be shown to a model, and what comes out.

It travels inside the model file, so that no caller ever guesses colour order, mean or template.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceverify.faces.alignment import BoxCrop, FivePoints
from faceverify.runtime.text import shown

COLOUR_ORDERS = ("RGB", "BGR")


@dataclass(frozen=True)
class Contract:
    """What a model expects and returns.

    Attributes:
        width, height: of the crop, in pixels.
        colour_order: "RGB" or "BGR".
        mean, scale: a channel goes in as (x - mean) / scale, x in [0, 255], in the order above.
        alignment: how the crop is cut out of a photo.
        embedding_size: numbers in an embedding.
        flip_average: whether the embedding of the mirrored crop is added before normalising.
    """

    width: int
    height: int
    colour_order: str
    mean: tuple[float, float, float]
    scale: tuple[float, float, float]
    alignment: FivePoints | BoxCrop
    embedding_size: int
    flip_average: bool

    def planes(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """RGB crops, (N, height, width, 3), as the net takes them, (N, 3, height, width)."""
        mean, scale = (np.array(v, np.float32)[:, None, None] for v in (self.mean, self.scale))
        if self.colour_order == "BGR":
            crops = crops[..., ::-1]
        planes: NDArray[np.float32] = crops.transpose(0, 3, 1, 2).astype(np.float32, order="C")
        planes -= mean
        planes *= 1 / scale
        return planes

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; the same contract gives the same ones, 0 and 0.0 alike."""
        return {
            "width": self.width,
            "height": self.height,
            "colour_order": self.colour_order,
            "mean": [float(value) for value in self.mean],
            "scale": [float(value) for value in self.scale],
            "alignment": alignment_from_dict(self.alignment.as_dict()).as_dict(),
            "embedding_size": self.embedding_size,
            "flip_average": self.flip_average,
        }

    @classmethod
    def from_dict(cls, values: object) -> Contract:
        """Check and build; ValueError says which field is wrong, and how."""
        if not isinstance(values, dict):
            raise ValueError(f"the contract is {shown(values)}, not an object")
        expected = set(cls.__dataclass_fields__)
        if set(values) != expected:
            missing, unknown = expected - set(values), set(values) - expected
            raise ValueError(f"missing {shown(sorted(missing))}, unknown {shown(sorted(unknown))}")
        for name in ("width", "height", "embedding_size"):
            if type(values[name]) is not int or not 1 <= values[name] <= 65_536:
                raise ValueError(
                    f"{name} is {shown(values[name])}, not a whole number of 1 to 65536"
                )
        if values["colour_order"] not in COLOUR_ORDERS:
            raise ValueError(f"colour_order is {shown(values['colour_order'])}, not RGB or BGR")
        for name in ("mean", "scale"):
            numbers = values[name]
            if not (
                isinstance(numbers, list) and len(numbers) == 3 and all(map(is_finite, numbers))
            ):
                raise ValueError(f"{name} is {shown(numbers)}, not three numbers")
        if 0 in values["scale"]:
            raise ValueError("scale holds a zero")
        if type(values["flip_average"]) is not bool:
            raise ValueError(f"flip_average is {shown(values['flip_average'])}, not true or false")
        return cls(
            width=values["width"],
            height=values["height"],
            colour_order=values["colour_order"],
            mean=three_floats(values["mean"]),
            scale=three_floats(values["scale"]),
            alignment=alignment_from_dict(values["alignment"]),
            embedding_size=values["embedding_size"],
            flip_average=values["flip_average"],
        )


def alignment_from_dict(values: object) -> FivePoints | BoxCrop:
    """Check and build; ValueError says what is wrong."""
    match values:
        case {"kind": "five-points", "points": [*points], "weights": [*weights]} if (
            len(points) == len(weights) == 5
            and all(
                isinstance(xy, list) and len(xy) == 2 and all(map(is_finite, xy)) for xy in points
            )
            and all(is_finite(weight) and weight >= 0 for weight in weights)
            and len({(x, y) for (x, y), weight in zip(points, weights, strict=True) if weight > 0})
            >= 2
        ):
            places = tuple((float(x), float(y)) for x, y in points)
            return FivePoints(places, tuple(map(float, weights)))
        case {"kind": "box", "margin": margin} if is_finite(margin) and 0 <= margin < 1:
            return BoxCrop(float(margin))
    raise ValueError(
        f"alignment is {shown(values)}, neither five points with weights nor a box with margin"
    )


def three_floats(numbers: list[float]) -> tuple[float, float, float]:
    """One number a channel, whole ones as floats too: the id hashes their text."""
    first, second, third = map(float, numbers)
    return first, second, third


def is_finite(value: object) -> bool:
    """Whether a value is a plain finite number; a whole one that no float can hold is not."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
