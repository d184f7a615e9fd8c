"""Batches: the same bits from any workers and processes, in order, with clear errors."""

import itertools
import os
import signal
import threading

import numpy as np
import pytest
import torch
from face_files import encoded, people_folder, picture

from faceverify.errors import ImageError, TrainingError
from faceverify.training.config.augmentation import Augmentation
from faceverify.training.data.loading.counter_rng import sample_draws
from faceverify.training.data.loading.left_out import LeftOut
from faceverify.training.data.loading.loader import batches
from faceverify.training.data.loading.packed_cache import packed
from faceverify.training.data.sets.open import open_face_set
from faceverify.training.data.transforms import DRAWS, Transform

VARIED = Transform((20, 24), augmentation=Augmentation(0.5, 1, 1, 0.2, 0.5, 0.5, 0.5, 0.5))


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    return open_face_set(people_folder(folder, {"ann": 5, "bob": 4, "eve": 3}))


ORDER = [np.array(b) for b in ([3, 1, 4, 1], [5, 9, 2, 6], [5, 3, 5, 8], [9, 7, 9, 3])]


def made(faces, order=ORDER, **options):
    options = {"transform": VARIED, "seed": 7, "epoch": 2, "workers": 2} | options
    return list(batches(faces, order, **options))


def same(ones, others):
    assert len(ones) == len(others)
    for one, other in zip(ones, others, strict=True):
        assert one.indices.tolist() == other.indices.tolist()
        assert torch.equal(one.labels, other.labels)
        assert torch.equal(one.views[0], other.views[0])


def test_a_batch_is_what_the_set_and_the_draws_say(faces):
    for step, batch in enumerate(made(faces)):
        images = torch.stack([faces.image(index) for index in ORDER[step]])
        wanted = VARIED(images, sample_draws(7, 2, step, ORDER[step], DRAWS))
        assert torch.allclose(batch.views[0], wanted, atol=1e-5)
        assert batch.labels.tolist() == faces.labels[ORDER[step]].tolist()
        assert batch.views[0].is_contiguous(memory_format=torch.channels_last)


def test_the_same_from_any_number_of_workers(faces):
    one = made(faces, workers=1)
    for workers in (2, 5):
        same(made(faces, workers=workers), one)


def test_the_same_from_the_packed_cache(faces, tmp_path):
    same(made(faces, packed=packed(faces, (20, 24), tmp_path)), made(faces))


def test_going_on_in_the_middle_of_an_epoch(faces):
    same(made(faces, ORDER[2:], start=2), made(faces)[2:])


@pytest.mark.parametrize("world", [2, 4])
def test_processes_share_the_steps_of_one(faces, world):
    """Also where an image stands twice in a step, in the parts of two processes."""
    whole = made(faces)
    parts = [made(faces, rank=rank, world=world) for rank in range(world)]
    for step in range(len(ORDER)):
        images = torch.cat([part[step].views[0] for part in parts])
        assert torch.equal(images, whole[step].views[0])


def test_other_seeds_epochs_and_steps_vary_otherwise(faces):
    first = made(faces)[0].views[0]
    assert not torch.equal(made(faces, seed=8)[0].views[0], first)
    assert not torch.equal(made(faces, epoch=3)[0].views[0], first)
    assert not torch.equal(made(faces, start=1)[0].views[0], first)
    assert not torch.equal(first[1], first[3])  # the same image twice
    plain = made(faces, vary=False)[0].views[0]
    assert torch.equal(plain[1], plain[3])


def test_an_endless_sampler_is_read_only_a_little_ahead(faces):
    taken = []

    def endless():
        for step in itertools.count():
            taken.append(step)
            yield np.array([0, 1])

    stream = batches(faces, endless(), transform=VARIED, workers=2)
    for _ in range(10):
        next(stream)
    stream.close()
    assert len(taken) <= 10 + 5


def test_nothing_is_left_behind(faces):
    before = set(threading.enumerate())
    threads = torch.get_num_threads()
    stream = batches(faces, itertools.repeat(ORDER[0]), transform=VARIED, workers=3)
    next(stream)
    assert torch.get_num_threads() == threads
    stream.close()
    assert set(threading.enumerate()) == before
    assert torch.get_num_threads() == threads


def test_workers_compute_by_themselves(faces, monkeypatch):
    seen = set()
    original = Transform.__call__

    def noted(self, *arguments):
        seen.add(torch.get_num_threads())
        return original(self, *arguments)

    monkeypatch.setattr(Transform, "__call__", noted)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        for workers in (1, 3):
            made(faces, itertools.chain.from_iterable([ORDER] * 4), workers=workers)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert seen == {1}


def test_an_unreadable_image_is_named(tmp_path):
    folder = people_folder(tmp_path, {"ann": 3})
    (folder / "ann" / "0001.jpg").write_bytes(b"torn")
    faces = open_face_set(folder)
    stream = batches(faces, [np.array([0]), np.array([2, 1])], transform=VARIED)
    next(stream)
    with pytest.raises(ImageError, match=r"ann/0001\.jpg: text, not an image"):
        next(stream)


@pytest.mark.parametrize("cached", [False, True])
def test_an_image_of_the_person_takes_the_place_of_an_unreadable_one(tmp_path, cached):
    folder = people_folder(tmp_path / "people", {"ann": 3, "bob": 1, "eve": 2})
    for name in ("ann/0001.jpg", "bob/0000.jpg"):
        (folder / name).write_bytes(b"torn")
    faces = open_face_set(folder)
    said = []
    left_out = LeftOut(len(faces), 0.5, said.append)
    options = {"left_out": left_out}
    if cached:
        options["packed"] = packed(faces, (20, 24), tmp_path, left_out=left_out)
    (batch,) = made(faces, [np.arange(6)], vary=False, **options)
    assert batch.indices.tolist() == [0, 2, 2, 4, 4, 5]  # of bob there is no other
    assert batch.labels.tolist() == [0, 0, 0, 2, 2, 2]
    good = made(faces, [np.array([0, 2, 2, 4, 4, 5])], vary=False, workers=1)
    assert torch.equal(batch.views[0], good[0].views[0])
    assert sorted(line.split(": ")[1] for line in said) == [
        str(folder / "ann/0001.jpg"), str(folder / "bob/0000.jpg"),
    ]  # fmt: skip


def test_mixed_sizes_are_resized_and_said_once(tmp_path):
    folder = people_folder(tmp_path, {"ann": 2})
    for number in (2, 3, 4):
        (folder / "ann" / f"000{number}.jpg").write_bytes(encoded(picture(9, (48, 40))))
    said = []
    faces = open_face_set(folder)
    (batch,) = made(faces, [np.arange(5)], warn=said.append)
    assert tuple(batch.views[0].shape) == (5, 3, 20, 24)
    assert len(said) == 1
    assert "0002.jpg: 48 x 40 pixels, resized to 24 x 20" in said[0]
    (folder / "ann" / "0005.jpg").write_bytes(encoded(picture(9, (48, 24))))
    with pytest.raises(TrainingError, match=r"0005\.jpg: 48 x 24 pixels, where the others"):
        made(open_face_set(folder), [np.arange(6)])


def test_a_step_that_cannot_be_shared_evenly(faces):
    with pytest.raises(TrainingError, match="cannot be shared evenly"):
        made(faces, world=3)


def test_ctrl_c_stops_cleanly(faces):
    before = set(threading.enumerate())
    # a shell that starts the tests in the background has them ignore it
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    stream = batches(faces, itertools.repeat(ORDER[0], 50_000), transform=VARIED, workers=2)
    try:
        with pytest.raises(KeyboardInterrupt):
            for _ in stream:
                pass
    finally:
        signal.signal(signal.SIGINT, handler)
        timer.join()
    stream.close()
    assert set(threading.enumerate()) == before


@pytest.mark.gpu
def test_the_gpu_is_fed(faces):
    for batch, wanted in zip(made(faces, device="cuda"), made(faces), strict=True):
        assert batch.views[0].is_cuda
        assert batch.labels.tolist() == wanted.labels.tolist()
    plain = made(faces, device="cuda", vary=False)
    for batch, wanted in zip(plain, made(faces, vary=False), strict=True):
        assert torch.allclose(batch.views[0].cpu(), wanted.views[0], atol=3.1 / 127.5)
