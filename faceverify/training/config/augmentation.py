"""How images are varied while learning: chances and amounts. No torch here."""

from __future__ import annotations

from dataclasses import dataclass

from faceverify.training.config.fields import setting


@dataclass(frozen=True)
class Augmentation:
    """Chances that an image is varied in each way, and by how much at most.

    The amounts are drawn evenly from their range. What is stated of pixels is stated as a share of
    the image's side, so that it means the same at any size.
    """

    flip: float = setting(0.5, "mirrored", least=0, most=1)
    crop: float = setting(0.2, "zoomed, shifted and turned a little", least=0, most=1)
    colour: float = setting(0.2, "brightness, contrast, saturation", least=0, most=1)
    grey: float = setting(0.0, "without colour", least=0, most=1)
    low_resolution: float = setting(0.0, "shrunk and enlarged again", least=0, most=1)
    blur: float = setting(0.0, "blurred", least=0, most=1)
    jpeg: float = setting(0.0, "compressed strongly", least=0, most=1)
    occlusion: float = setting(0.0, "a rectangle covered", least=0, most=1)

    zoom: float = setting(0.1, "most of a crop, larger or smaller", least=0, most=0.9)
    shift: float = setting(0.04, "most of a crop, as a share of the side", least=0, most=0.5)
    turn: float = setting(5.0, "most of a crop, degrees", least=0, most=180)
    brightness: float = setting(0.3, "most, brighter or darker", least=0, most=0.95)
    contrast: float = setting(0.3, "most, more or less of it", least=0, most=0.95)
    saturation: float = setting(0.3, "most, more or less of it", least=0, most=0.95)
    resolution: float = setting(0.2, "least share of the side that is left", above=0, most=1)
    radius: float = setting(0.02, "largest standard deviation of a blur", above=0, most=0.2)
    quality: int = setting(15, "least quality of a JPEG; the best is 75", least=1, most=75)
    area: float = setting(0.2, "largest share of the area that is covered", above=0, most=0.9)


NONE = Augmentation(flip=0.0, crop=0.0, colour=0.0)
