"""Settings of the data augmentation: probabilities and ranges. Does not import torch."""

from __future__ import annotations

from dataclasses import dataclass

from faceverify.training.config.fields import setting


@dataclass(frozen=True)
class Augmentation:
    """``[augmentation]``: probabilities and strengths of the image transforms.

    Strengths are drawn uniformly from their range. Lengths are shares of the side of the image, so
    that they mean the same at any size.
    """

    flip: float = setting(0.5, "probability of a horizontal flip", least=0, most=1)
    crop: float = setting(0.2, "probability of a random zoom, shift and rotation", least=0, most=1)
    colour: float = setting(
        0.2, "probability of a change of brightness, contrast, saturation", least=0, most=1
    )
    grey: float = setting(0.0, "probability of greyscale", least=0, most=1)
    low_resolution: float = setting(0.0, "probability of down- and upsampling", least=0, most=1)
    blur: float = setting(0.0, "probability of Gaussian blur", least=0, most=1)
    jpeg: float = setting(0.0, "probability of JPEG compression", least=0, most=1)
    occlusion: float = setting(0.0, "probability of a covered rectangle", least=0, most=1)

    zoom: float = setting(0.1, "largest change of size of a crop", least=0, most=0.9)
    shift: float = setting(0.04, "largest shift of a crop, share of the side", least=0, most=0.5)
    turn: float = setting(5.0, "largest rotation of a crop, degrees", least=0, most=180)
    brightness: float = setting(0.3, "largest change of brightness", least=0, most=0.95)
    contrast: float = setting(0.3, "largest change of contrast", least=0, most=0.95)
    saturation: float = setting(0.3, "largest change of saturation", least=0, most=0.95)
    resolution: float = setting(0.2, "least share of the side after downsampling", above=0, most=1)
    radius: float = setting(
        0.02, "largest standard deviation of the blur, share of the side", above=0, most=0.2
    )
    quality: int = setting(15, "least JPEG quality; the highest is 75", least=1, most=75)
    area: float = setting(0.2, "largest covered share of the area", above=0, most=0.9)

    least_area: float = setting(
        1.0,
        "least share of the area of a random resized crop, which every image gets; 1: none",
        above=0,
        most=1,
    )
    most_area: float = setting(
        1.0, "largest share of the area of a random resized crop", above=0, most=1
    )
    aspect: float = setting(
        4 / 3, "largest ratio of the sides of a random resized crop", least=1, most=4
    )
    hue: float = setting(
        0.0, "largest turn of the hue, share of the circle, with colour", least=0, most=0.5
    )
    solarise: float = setting(0.0, "probability of inverted bright pixels", least=0, most=1)


NONE = Augmentation(flip=0.0, crop=0.0, colour=0.0)
