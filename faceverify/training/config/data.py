"""Settings of what is learned from: the set, the views of its images, the batches."""

from __future__ import annotations

from dataclasses import dataclass

from faceverify.training.config.fields import setting

BY_THE_LOSS = "auto"
SALIENCY = "saliency"
VIEWMAKER = "viewmaker"
TRACKS = "tracks"
PAIR_SAMPLERS = ("identities", "facenet")  # several images per identity in a batch


@dataclass(frozen=True)
class Data:
    """``[data]``: the training set."""

    source: str = setting("", "folder of people, RecordIO folder, WebDataset shards or their URLs")
    alignment: str = setting(
        "arcface-112",
        "of the crops",
        choices=("arcface-112", "dlib-150", "facenet-160"),
    )
    align: bool = setting(
        False, "whether faces are cut out of the photos of a folder first; the run keeps the crops"
    )
    size: int = setting(112, "side of the input images, pixels", least=16, most=512)
    workers: int = setting(-1, "loader threads; -1: by the number of processors, 0: none", least=-1)
    cache: str = setting(
        "auto",
        "cache of decoded crops, uint8; auto: where it fits into memory",
        choices=("auto", "memory", "none"),
    )
    least_images: int = setting(
        1, "least images of an identity; identities with fewer are left out", least=1
    )
    unreadable: float = setting(
        0.05,
        "largest share of the images that may be unreadable and are left out; 0: none",
        least=0,
        most=1,
    )
    column: str = setting(
        "", "column of labels.csv used as the label, for log-ratio; empty: the identity"
    )
    stream_images: int = setting(
        0, "images in a stream of shards; 0: read it once and count", least=0
    )
    stream_people: int = setting(
        0, "identities in a stream of shards; 0: read it once and count", least=0
    )


@dataclass(frozen=True)
class Views:
    """``[views]``: what the views of an image are of, and the small ones of multi-crop."""

    positives: str = setting(
        "photo",
        "what a second view is of: photo, the same one; tracks, another photo of its folder",
        choices=("photo", TRACKS),
    )

    crops: str = setting(
        "uniform",
        "where random resized crops are: uniform, anywhere; saliency, about salient places",
        choices=("uniform", SALIENCY),
    )
    learned: str = setting(
        "none",
        "what is learned about views; viewmaker: what is added to them, against the method",
        choices=("none", VIEWMAKER),
    )
    budget: float = setting(
        0.05, "mean size of what a viewmaker adds, share of the range of a pixel", above=0, most=0.5
    )
    local: int = setting(
        -1, "small views of each image; -1: as many as the method has", least=-1, most=32
    )
    local_side: float = setting(
        0.5, "side of a small view, share of that of the input", above=0, most=1
    )
    local_least_area: float = setting(
        0.15, "least share of the image's area in a small view", above=0, most=1
    )
    local_most_area: float = setting(
        0.4, "largest share of the image's area in a small view", above=0, most=1
    )


@dataclass(frozen=True)
class Batches:
    """``[batches]``: how batches are sampled."""

    sampler: str = setting(
        BY_THE_LOSS,
        "sampler of the batches; auto: identities for a loss of pairs, else shuffled",
        choices=(BY_THE_LOSS, "shuffled", "balanced", *PAIR_SAMPLERS),
    )
    size: int = setting(
        128,
        "images in a global batch, over all processes; fewer where the identities sampler finds "
        "fewer people",
        least=2,
    )
    images_per_identity: int = setting(
        0, "images per identity in a batch of an identity sampler; 0: by the loss", least=0
    )
