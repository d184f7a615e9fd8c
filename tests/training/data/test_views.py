"""Views of images: independent of each other, and of how many there are."""

import numpy as np
import pytest
import torch
from face_files import people_folder

from faceverify.training.config.augmentation import Augmentation
from faceverify.training.config.data import Views as ViewSettings
from faceverify.training.data.loading.counter_rng import sample_draws
from faceverify.training.data.loading.loader import batches
from faceverify.training.data.sets.open import open_face_set
from faceverify.training.data.transforms import Transform
from faceverify.training.data.views import ONE_VIEW, Batch, View, Views, configured

VARIED = Augmentation(flip=0.5, crop=1.0, colour=1.0)


def made(faces, views, **options):
    order = [np.array([3, 0, 3]), np.array([1, 2, 4])]
    transform = Transform((20, 20), augmentation=VARIED)
    return list(batches(faces, order, transform=transform, views=views, seed=7, **options))


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_the_first_of_several_views_is_that_of_one(tmp_path, rank):
    faces = open_face_set(str(people_folder(tmp_path, {"ada": 3, "ben": 3})))
    share = {"rank": rank, "world": 3}
    for one, several in zip(made(faces, ONE_VIEW), made(faces, Views(3), **share), strict=True):
        assert len(one.views) == 1
        assert len(several.views) == 3
        assert torch.equal(several.views[0], one.views[0][rank : rank + 1])
        assert len(torch.cat(several.views).unique(dim=0)) == 3


def test_the_first_view_is_drawn_as_it_always_was():
    """Or a run that goes on would see other images."""
    assert sample_draws(3, 1, 7, np.array([3, 5, 3]), 2).tolist() == [
        [0.39657935224475993, 0.035821573204120716],
        [0.6269701551929153, 0.26828432194668117],
        [0.5645061535342565, 0.14668561342156783],
    ]


def test_draws_of_views_share_nothing():
    indices = np.arange(50)
    drawn = [sample_draws(0, 0, 1, indices, 8, view=view) for view in range(4)]
    assert np.array_equal(drawn[0], sample_draws(0, 0, 1, indices, 8))
    assert len(np.unique(np.stack(drawn))) == 4 * 50 * 8


def test_parts_of_a_batch_make_the_batch():
    views = [torch.arange(10.0), torch.arange(10.0) + 0.5]
    parts = Batch(views, torch.arange(10), np.arange(10)).split(3)
    assert [len(part) for part in parts] == [4, 3, 3]
    for view in range(2):
        assert torch.equal(torch.cat([part.views[view] for part in parts]), views[view])
    assert torch.equal(torch.cat([part.labels for part in parts]), torch.arange(10))
    assert np.array_equal(np.concatenate([part.indices for part in parts]), np.arange(10))


def test_small_views_are_as_configured():
    assert ONE_VIEW.kinds == (View(),)
    second = View(changes={"blur": 0.1})
    views = Views(3, second=second, local=4)
    assert configured(Views(2), ViewSettings(local=9)) == Views(2)  # a method without small views
    found = configured(views, ViewSettings(local=2, local_side=0.4))
    small = View(side=0.4, changes={"least_area": 0.15, "most_area": 0.4})
    assert found.kinds == (View(), second, second, small, small)
    assert len(configured(views, ViewSettings()).kinds) == 3 + 4
    assert len(configured(views, ViewSettings(local=0)).kinds) == 3


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_keys_of_a_method_are_an_images_own(tmp_path, rank):
    faces = open_face_set(str(people_folder(tmp_path, {"ada": 3, "ben": 3})))
    whole = [batch.keys for batch in made(faces, ONE_VIEW)]
    parts = [batch.keys for batch in made(faces, ONE_VIEW, rank=rank, world=3)]
    assert len(np.unique(np.concatenate(whole))) == 6
    assert [keys.tolist() for keys in parts] == [[keys[rank]] for keys in whole]
    (again,) = Batch([torch.zeros(2)], torch.zeros(2), np.arange(2), whole[0][:2]).split(1)
    assert np.array_equal(again.keys, whole[0][:2])


def test_views_of_several_sizes_are_loaded(tmp_path):
    faces = open_face_set(str(people_folder(tmp_path, {"ada": 3, "ben": 3})))
    views = configured(Views(2, local=3), ViewSettings(local_side=0.5))
    batch = made(faces, views)[0]
    assert [tuple(view.shape[2:]) for view in batch.views] == [(20, 20)] * 2 + [(10, 10)] * 3
    assert torch.equal(batch.views[0], made(faces, ONE_VIEW)[0].views[0])
