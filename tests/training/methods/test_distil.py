"""Distillation: cosine and relations to a model's embeddings, and what the model is shown."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from slow_views import batch_of, cosine, rows
from tiny_runs import SIDE, SIZE, teacher

from faceverify.errors import TrainingError
from faceverify.models.embedder import Embedder
from faceverify.models.model_file import load_model_file
from faceverify.runtime.progress import no_progress
from faceverify.training.backbones import contract_for
from faceverify.training.data.loading.source import Stills
from faceverify.training.distributed.collectives import Shard
from faceverify.training.methods import distil
from faceverify.training.methods.distil import Distillation, relations_apart


def unit(row):
    return np.asarray(row) / np.linalg.norm(row)


def slow_relations(student, taught):
    """Equations 5 to 7 of Park et al.: Huber loss of distances over their mean."""
    count = len(student)
    pairs = [(i, j) for i in range(count) for j in range(count) if i < j]
    relative = []
    for embeddings in (student, taught):
        apart = [np.linalg.norm(unit(embeddings[i]) - unit(embeddings[j])) for i, j in pairs]
        relative.append([one / (sum(apart) / len(apart)) for one in apart])
    losses = []
    for own, wanted in zip(*relative, strict=True):
        gap = abs(own - wanted)
        losses.append(gap**2 / 2 if gap <= 1 else gap - 0.5)
    return sum(losses) / len(losses)


def test_the_equation_of_the_relations_written_out():
    student, taught = rows(6, 5, seed=1), rows(6, 8, seed=2)
    assert relations_apart(student, taught).item() == pytest.approx(slow_relations(student, taught))


def learner(size=SIZE, **options):
    contract = contract_for("resnet18", embedding_size=size, size=SIDE)
    options = {"teacher": teacher(), **options}
    return Distillation(embedding_size=size, contract=contract, **options)


def crops():
    return np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3), np.uint8)


def test_the_loss_is_that_of_the_model_files_embeddings():
    images = torch.from_numpy((crops().transpose(0, 3, 1, 2) - 127.5) / 127.5).float()
    taught = Embedder(load_model_file(Path(teacher()))).embed(crops())
    student = rows(5, SIZE)
    wanted = sum(1 - cosine(a, b) for a, b in zip(student, taught, strict=True)) / 5
    for cosines, relations in ((1.0, 0.0), (0.0, 1.0), (2.0, 3.0)):
        method = learner(cosine=cosines, relation=relations)
        found = method(lambda _: [student], batch_of(images))
        apart = slow_relations(student, taught)
        assert found.item() == pytest.approx(cosines * wanted + relations * apart, rel=1e-4)


def test_embeddings_of_another_length_need_a_layer_that_is_left_behind():
    assert not list(learner().parameters())
    method = learner(size=7)
    assert method.bridge.weight.shape == (SIZE, 7)
    assert list(method.state_dict()) == ["bridge.weight", "bridge.bias"]


def test_a_teacher_of_another_size_sees_the_crop_resized():
    contract = contract_for("resnet18", embedding_size=SIZE, size=2 * SIDE)
    method = Distillation(embedding_size=SIZE, contract=contract, teacher=teacher())
    small = torch.from_numpy((crops().transpose(0, 3, 1, 2) - 127.5) / 127.5).float()
    large = small.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    found = method._teacher.embed(large)
    wanted = torch.from_numpy(Embedder(load_model_file(Path(teacher()))).embed(crops()))
    assert torch.nn.functional.cosine_similarity(found, wanted).min() > 0.95


def test_a_teacher_that_cannot_teach_is_one_line():
    with pytest.raises(TrainingError, match="method distil learns from a model; give --teacher"):
        learner(teacher="")
    contract = contract_for("facenet:inception-resnet-v1", size=160, alignment="facenet-160")
    with pytest.raises(TrainingError, match="sees crops of another alignment than the student"):
        Distillation(embedding_size=SIZE, contract=contract, teacher=teacher())


def stills(pictures):
    """Photos as a source gives them, two at a time."""
    images = torch.from_numpy((pictures.transpose(0, 3, 1, 2) - 127.5) / 127.5).float()

    def at(positions):
        for part in np.array_split(positions, -(-len(positions) // 2)):
            yield images[part], torch.zeros(len(part))

    return Stills(np.zeros(len(pictures), np.int64), at)


def test_the_teacher_sees_each_photo_once_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(distil, "BLOCK", 3)  # so that the five photos are two files
    pictures, method = crops(), learner(relation=0.0)
    method.prepare(stills(pictures), tmp_path / "new", no_progress)
    student, order = rows(4, SIZE), np.array([4, 0, 0, 3])
    other_views = torch.randn(4, 3, SIDE, SIDE)
    batch = replace(batch_of(other_views), indices=order)
    taught = Embedder(load_model_file(Path(teacher()))).embed(pictures)[order]
    wanted = sum(1 - cosine(a, b) for a, b in zip(student, taught, strict=True)) / 4
    assert method(lambda _: [student], batch).item() == pytest.approx(wanted, rel=1e-4)

    again = learner()
    monkeypatch.setattr(again._teacher, "embed_crops", None)  # a call fails: all is kept
    again.prepare(stills(pictures), tmp_path / "new", no_progress)
    assert again._known.equal(method._known)

    files = sorted((tmp_path / "new").iterdir())
    assert len(files) == 2
    files[0].write_bytes(b"damaged")
    third = learner()
    third.prepare(stills(pictures), tmp_path / "new", no_progress)
    assert third._known.equal(method._known)
    changed = pictures.copy()
    changed[0] ^= 1
    third.prepare(stills(changed), tmp_path / "new", no_progress)
    assert not third._known[0].equal(method._known[0])


def test_the_teacher_sees_the_views_where_asked_and_of_a_stream(tmp_path):
    for method, shown in ((learner(shown="views"), stills(crops())), (learner(), None)):
        method.prepare(shown, tmp_path, no_progress)
        assert method._known is None
    with pytest.raises(TrainingError, match=r"method.shown is .both., not one of photos, views"):
        learner(shown="both")


def test_processes_share_the_photos_among_them(tmp_path, monkeypatch):
    pictures, parts = crops(), []
    for rank in (0, 1):
        monkeypatch.setattr(
            distil, "own_shard", lambda n, r=rank: Shard(n * r // 2, n * (r + 1) // 2, n)
        )
        method = learner()
        method.prepare(stills(pictures), tmp_path / str(rank), no_progress)
        parts.append(method._known)
    monkeypatch.undo()
    alone = learner()
    alone.prepare(stills(pictures), tmp_path / "alone", no_progress)
    assert (parts[0] + parts[1]).equal(alone._known)  # what the processes sum
