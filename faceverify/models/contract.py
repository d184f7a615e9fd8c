"""The preprocessing contract: how a photo's face must be shown to a model, and what comes out.

It travels inside the model file, so that no caller ever guesses colour order, mean or template.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from faceverify.faces.alignment import BoxCrop, FivePoints

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

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "width": self.width,
            "height": self.height,
            "colour_order": self.colour_order,
            "mean": list(self.mean),
            "scale": list(self.scale),
            "alignment": self.alignment.as_dict(),
            "embedding_size": self.embedding_size,
            "flip_average": self.flip_average,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Contract:
        """Check and build; ValueError says which field is wrong, and how."""
        expected = set(cls.__dataclass_fields__)
        if set(values) != expected:
            missing, unknown = expected - set(values), set(values) - expected
            raise ValueError(f"missing {sorted(missing)}, unknown {sorted(unknown)}")
        for name in ("width", "height", "embedding_size"):
            if type(values[name]) is not int or not 1 <= values[name] <= 65_536:
                raise ValueError(f"{name} is {values[name]!r}, not a whole number of 1 to 65536")
        if values["colour_order"] not in COLOUR_ORDERS:
            raise ValueError(f"colour_order is {values['colour_order']!r}, not RGB or BGR")
        for name in ("mean", "scale"):
            numbers = values[name]
            if not (isinstance(numbers, list) and len(numbers) == 3 and all(map(is_finite, numbers))):
                raise ValueError(f"{name} is {numbers!r}, not three numbers")
        if 0 in values["scale"]:
            raise ValueError("scale holds a zero")
        if type(values["flip_average"]) is not bool:
            raise ValueError(f"flip_average is {values['flip_average']!r}, not true or false")
        return cls(
            width=values["width"],
            height=values["height"],
            colour_order=values["colour_order"],
            mean=(values["mean"][0], values["mean"][1], values["mean"][2]),
            scale=(values["scale"][0], values["scale"][1], values["scale"][2]),
            alignment=alignment_from_dict(values["alignment"]),
            embedding_size=values["embedding_size"],
            flip_average=values["flip_average"],
        )


def alignment_from_dict(values: object) -> FivePoints | BoxCrop:
    """Check and build; ValueError says what is wrong."""
    match values:
        case {"kind": "five-points", "points": [*points], "weights": [*weights]} if (
            len(points) == len(weights) == 5
            and all(isinstance(xy, list) and len(xy) == 2 and all(map(is_finite, xy)) for xy in points)
            and all(is_finite(weight) and weight >= 0 for weight in weights)
            and sum(weight > 0 for weight in weights) >= 2
        ):
            return FivePoints(tuple((float(x), float(y)) for x, y in points), tuple(map(float, weights)))
        case {"kind": "box", "margin": margin} if is_finite(margin) and 0 <= margin < 1:
            return BoxCrop(float(margin))
    raise ValueError(f"alignment is {values!r}, neither five points with weights nor a box with margin")


def is_finite(value: object) -> bool:
    """Whether a value is a plain finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
