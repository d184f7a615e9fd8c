"""Catalogue of downloadable models: URLs, hashes, sizes and licences.

The publishers state no SHA-256 for these files. The hashes are those that other projects pin for
the same URLs:

* the InsightFace packs: LibrePhotos (``ML_MODELS``), several others agree;
* the nets inside: yakhyo/uniface ``uniface/constants.py``, immich-app/buffalo_s, several others;
* facenet-pytorch's ``vggface2``: half a dozen independent projects, one of them with its size;
* facenet-pytorch's ``casia-webface``: one project, with its size.

A wrong hash here would refuse the right file, but never accept a wrong one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from faceverify.errors import UsageError


class Kind(str, Enum):
    """Format of a file that is converted to a model file."""

    AUTO = "auto"
    INSIGHTFACE = "insightface"  # an ONNX file with the preprocessing of InsightFace
    FACENET = "facenet"  # a state dict of facenet-pytorch's InceptionResnetV1


INSIGHTFACE_LICENCE = (
    "non-commercial research only (InsightFace model zoo: https://insightface.ai, "
    "commercial use needs a licence from them)"
)
FACENET_LICENCE = "MIT (facenet-pytorch and facenet); trained on {}, whose own terms may apply"


@dataclass(frozen=True)
class Download:
    """A file of the catalogue, which is downloaded and converted to a model file.

    Attributes:
        name: of the model, as ``faceverify weights pull`` takes it.
        url: of the file.
        sha256: of the whole file, in hexadecimal.
        size: of the whole file, in bytes.
        licence: of the weights.
        kind: format of the file.
        architecture: of the network.
        head: the loss it was trained with.
        dataset: of the training.
        member: file name of the network, where the file is a zip archive.
        member_sha256: of that member.
    """

    name: str
    url: str
    sha256: str
    size: int
    licence: str
    kind: Kind
    architecture: str
    head: str
    dataset: str
    member: str = ""
    member_sha256: str = ""

    @property
    def file_name(self) -> str:
        """Last part of the URL."""
        return self.url.rpartition("/")[2]


def facenet(name: str, dataset: str, file: str, sha256: str, size: int) -> Download:
    """A release file of facenet-pytorch."""
    return Download(
        name=name,
        url=f"https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/{file}",
        sha256=sha256,
        size=size,
        licence=FACENET_LICENCE.format(dataset),
        kind=Kind.FACENET,
        architecture="Inception-ResNet v1",
        head="softmax",
        dataset=dataset,
    )


def buffalo(name: str, sha256: str, size: int, net: tuple[str, str, str]) -> Download:
    """An InsightFace pack; net: file name, hash and architecture of its recognition network."""
    member, member_sha256, architecture = net
    return Download(
        name=name,
        url=f"https://github.com/deepinsight/insightface/releases/download/v0.7/{name}.zip",
        sha256=sha256,
        size=size,
        licence=INSIGHTFACE_LICENCE,
        kind=Kind.INSIGHTFACE,
        architecture=architecture,
        head="ArcFace",
        dataset="WebFace600K",
        member=member,
        member_sha256=member_sha256,
    )


R50 = (
    "w600k_r50.onnx",
    "4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43",
    "IResNet-50",
)
MBF = (
    "w600k_mbf.onnx",
    "9cc6e4a75f0e2bf0b1aed94578f144d15175f357bdc05e815e5c4a02b319eb4f",
    "MobileFaceNet",
)

CATALOGUE = {
    download.name: download
    for download in (
        facenet(
            "vggface2",
            "VGGFace2",
            "20180402-114759-vggface2.pt",
            "281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b",
            111_898_327,
        ),
        facenet(
            "casia-webface",
            "CASIA-WebFace",
            "20180408-102900-casia-webface.pt",
            "7a67afdbbc995fce5e10128675e318799a70698c2f433ba75dd7eb9a2f096e7d",
            115_887_415,
        ),
        buffalo(
            "buffalo_l",
            "80ffe37d8a5940d59a7384c201a2a38d4741f2f3c51eef46ebb28218a7b0ca2f",
            288_621_354,
            R50,
        ),
        buffalo(
            "buffalo_m",
            "d98264bd8f2dc75cbc2ddce2a14e636e02bb857b3051c234b737bf3b614edca9",
            275_951_529,
            R50,
        ),
        buffalo(
            "buffalo_s",
            "d85a87f503f691807cd8bb97128bdf7a0660326cd9cd02657127fa978bab8b5e",
            127_607_557,
            MBF,
        ),
        buffalo(
            "buffalo_sc",
            "57d31b56b6ffa911c8a73cfc1707c73cab76efe7f13b675a05223bf42de47c72",
            14_969_382,
            MBF,
        ),
    )
}


def find_download(name: str) -> Download:
    """A file of the catalogue by name; UsageError lists the names."""
    if name not in CATALOGUE:
        raise UsageError(
            f"{name!r}: nothing of that name to download", cure=f"there are {', '.join(CATALOGUE)}"
        )
    return CATALOGUE[name]
