"""DenseCL: MoCo v2, and the same of the places of a photo: https://arxiv.org/abs/2011.09157.

Contrast of places, eq. 2; of both, eq. 3; which places belong together, eq. 4.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceverify.training.config.fields import config_error
from faceverify.training.data.views import Batch, Views
from faceverify.training.distributed.collectives import gather_rows, process_index
from faceverify.training.distributed.wrappers import plain_module
from faceverify.training.losses.loss import require
from faceverify.training.methods.mae import picked
from faceverify.training.methods.method import Method, exact, gathered
from faceverify.training.methods.moco import among_queue
from faceverify.training.methods.parts.heads import mlp
from faceverify.training.methods.parts.queue import Queue, check_queue
from faceverify.training.methods.parts.teacher import Teacher
from faceverify.training.optim.freezing import eval_mode
from faceverify.training.optim.view_encoder import Embed


class DenseCL(Method):
    """Cross-entropy of a view among earlier photos, and of each of its places among theirs.

    A place of the feature map belongs to the place of the other view that the backbone finds most
    like it. The other photos of a place are their mean places, kept in a queue of their own.

    Args:
        temperature: tau, divides the cosines.
        queue: photos of earlier batches in either queue, K.
        momentum: of the teacher.
        dense: lambda, weight of the places; that of the whole views is 1 - lambda.
        projection: numbers in a projected embedding or place.
        hidden: width of the projectors; 0 for that of what they project.
    """

    views: ClassVar[Views] = Views(2)
    embeds_one_view: ClassVar[bool] = True
    embeds_whole_views: ClassVar[bool] = False
    collapse: ClassVar[str] = (
        "usual causes: too high a learning rate, a teacher that follows too fast, a queue that is "
        "too short; try a lower --learning-rate, --set method.momentum=0.999"
    )

    def __init__(
        self,
        *,
        embedding_size: int,
        backbone: nn.Module,
        input_size: int,
        images: int,
        temperature: float = 0.2,
        queue: int = 4096,
        momentum: float = 0.99,
        dense: float = 0.5,
        projection: int = 128,
        hidden: int = 0,
    ) -> None:
        super().__init__()
        require(temperature > 0, "method.temperature", temperature, "above 0")
        check_queue(queue, images)
        require(0 <= momentum <= 1, "method.momentum", momentum, "in 0 to 1")
        require(0 <= dense <= 1, "method.dense", dense, "in 0 to 1")
        require(projection > 0, "method.projection", projection, "at least 1")
        require(hidden >= 0, "method.hidden", hidden, "at least 0")
        self.temperature, self.momentum, self.dense = temperature, momentum, dense
        channels = channels_of(backbone, input_size)
        self.heads = Heads(
            *(
                mlp((size, hidden or size, projection), norm=False)
                for size in (embedding_size, channels)
            )
        )
        self.teacher = Teacher(backbone, self.heads)
        self.queue, self.queue_of_places = Queue(queue, projection), Queue(queue, projection)
        self._step = 0
        self._keys = self._means = torch.zeros(0, projection)

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """See :meth:`Method.forward`; the places are those of the images of this process."""
        first, second = batch.views
        seen, shown = self.teacher.embed_shuffled(second, seed=self._step, maps=True)  # all of N
        rows, features = embed([first], maps=True)  # (n, D), (n, C, h, w)
        (rows,) = gathered([rows])  # (N, D)
        with exact(rows):
            taught = self.teacher.heads
            assert isinstance(taught, Heads)
            queries = F.normalize(self.heads.whole(rows), dim=1)
            self._keys = F.normalize(taught.whole(seen), dim=1).detach()
            queue, earlier = self.queue.rows.clone(), self.queue_of_places.rows.clone()
            whole = among_queue(queries, self._keys, queue, self.temperature)
            own = places_of(features.to(rows.dtype))  # (n, L, C)
            start = process_index() * len(own)
            other = places_of(shown[start : start + len(own)])  # (n, L, C)
            projected = taught.places(other).detach()  # (n, L, P)
            matching = picked(projected, most_alike(own, other))  # (n, L, P)
            places = among_queue(
                F.normalize(self.heads.places(own), dim=2).flatten(0, 1),
                F.normalize(matching, dim=2).flatten(0, 1),
                earlier,
                self.temperature,
            )
            self._means = gather_rows(F.normalize(projected.mean(dim=1), dim=1))  # (N, P)
            return (1 - self.dense) * whole + self.dense * places

    def begin_step(self, step: int, total: int) -> None:
        """See :meth:`Method.begin_step`."""
        self._step = step

    def finish_step(self, backbone: nn.Module) -> None:
        """See :meth:`Method.finish_step`."""
        self.teacher.follow(backbone, self.heads, self.momentum)
        self.queue.push(self._keys)
        self.queue_of_places.push(self._means)


class Heads(nn.Module):
    """Projectors of whole views and of places."""

    def __init__(self, whole: nn.Sequential, places: nn.Sequential) -> None:
        super().__init__()
        self.whole, self.places = whole, places


def channels_of(backbone: nn.Module, size: int) -> int:
    """Channels of a backbone's feature maps.

    Args:
        backbone: on any device; its mode is restored.
        size: side of its input, in pixels.

    Raises:
        TrainingError: it has none, or one place alone.
    """
    net: Any = plain_module(backbone)
    if not hasattr(net, "maps"):
        raise config_error(
            "method densecl compares places of a feature map, and this backbone gives none",
            "use --backbone resnet18, mobilefacenet, iresnet50 or vit",
        )
    with torch.no_grad(), eval_mode(net):
        shape = net.maps(torch.zeros(1, 3, size, size, device=next(net.parameters()).device)).shape
    if shape[2] * shape[3] < 2:
        raise config_error(
            f"method densecl compares places of a feature map, and at {size} pixels that of this "
            "backbone has one",
            "use --set backbone.stem=face, or a larger data.size",
        )
    return int(shape[1])


def places_of(features: Tensor) -> Tensor:
    """Places of feature maps, row by row: (N, C, h, w) to (N, L, C)."""
    return features.flatten(2).transpose(1, 2)


@torch.no_grad()
def most_alike(first: Tensor, second: Tensor) -> Tensor:
    """For each place of an image the place of its other view with the highest cosine, (N, L).

    Args:
        first, second: features of the places of two views, (N, L, C) each.
    """
    return (F.normalize(first, dim=2) @ F.normalize(second, dim=2).transpose(1, 2)).argmax(dim=2)
