"""Views of two frames of a track: drawn among its frames, and the same from any processes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from face_files import people_folder
from generated_people import tiny_config, write_people

from faceverify.errors import TrainingError
from faceverify.training.data.loading.counter_rng import OF_A_TRACK, sample_draws
from faceverify.training.data.loading.loader import batches
from faceverify.training.data.sets.open import open_face_set
from faceverify.training.data.sets.photos import open_list
from faceverify.training.data.tracks import Tracks, tracks_of
from faceverify.training.data.transforms import DRAWS, Transform
from faceverify.training.data.views import Views
from faceverify.training.run.folder import RunFolder
from faceverify.training.run.train import train_model

ORDER = [np.array([3, 1, 4, 11]), np.array([5, 9, 2, 0])]
PLAIN = Transform((24, 24))
LABELS = np.array([2, 0, 1, 2, 0, 2, 1, 3, 2, 3])


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Three tracks: eleven frames in two of them, one alone in the third."""
    folder = people_folder(tmp_path_factory.mktemp("tracks"), {"a": 6, "b": 5, "c": 1})
    return open_face_set(folder, named=False)


def test_another_frame_of_the_track_any_with_equal_chance():
    tracks = Tracks(LABELS, np.zeros(10, bool))
    draws = np.linspace(0, 1, 1200, endpoint=False)
    for photo in range(10):
        found = tracks.others(np.full(1200, photo), draws)
        frames, counts = np.unique(found, return_counts=True)
        wanted = [one for one in range(10) if LABELS[one] == LABELS[photo] and one != photo]
        assert frames.tolist() == wanted
        assert counts.max() - counts.min() <= 1
    assert tracks.alone == 0


def test_a_lone_frame_is_its_own_partner():
    beside = np.array([False] * 8 + [True, False])  # photo 8 lies beside the folders
    tracks = Tracks(np.array([0, 1, 1, 2, 2, 2, 2, 3, 4, 4]), beside)
    assert tracks.others(np.array([0, 7, 8]), np.array([0.0, 0.5, 0.99])).tolist() == [0, 7, 8]
    assert tracks.alone == 3


def test_every_second_view_is_of_another_frame(faces):
    views = Views(2, local=3)
    made = list(batches(faces, ORDER, transform=PLAIN, views=views, tracks=tracks_of(faces),
                        seed=7, epoch=2, workers=2))  # fmt: skip
    for step, batch in enumerate(made):
        photos = ORDER[step]
        turns = sample_draws(7, 2, step, photos, 1, view=OF_A_TRACK)[:, 0]
        others = tracks_of(faces).others(photos, turns)
        assert [faces.labels[one] for one in others] == [faces.labels[one] for one in photos]
        assert all((one == other) == (one == 11) for one, other in zip(photos, others, strict=True))
        for number, view in enumerate(batch.views):
            shown = photos if number % 2 == 0 else others
            images = torch.stack([faces.image(index) for index in shown])
            draws = sample_draws(7, 2, step, photos, DRAWS, view=number)
            assert torch.equal(view, PLAIN.of_view(views.kinds[number])(images, draws))


@pytest.mark.parametrize("rank", range(2))
def test_two_processes_and_a_later_start_show_the_same(faces, rank):
    options = {"transform": PLAIN, "views": Views(2), "tracks": tracks_of(faces), "workers": 1}
    whole = list(batches(faces, ORDER, **options))
    parts = list(batches(faces, ORDER[1:], start=1, rank=rank, world=2, **options))
    for view in range(2):
        assert torch.equal(parts[0].views[view], whole[1].views[view][2 * rank : 2 * rank + 2])


def config_of(source, **changes):
    given = {"method": {"name": "simclr"}, "views": {"positives": "tracks"}, "budget": {"steps": 2},
             "augmentation": {"least_area": 0.5}}  # fmt: skip
    return tiny_config(source, **{**given, **changes})


def test_a_run_of_tracks_says_once_how_many_are_alone(tmp_path):
    photos, said = write_people(tmp_path / "photos"), []
    (photos / "alone").mkdir()
    (photos / "person00" / "0.png").rename(photos / "alone" / "0.png")
    (photos / "person01" / "0.png").rename(photos / "beside.png")
    trained = train_model(config_of(photos), RunFolder(tmp_path / "run"), say=said.append)
    assert trained.model.is_file()
    (line,) = [one for one in said if "have no other frame" in one]
    assert line.startswith("2 of 48 photos")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": {"name": "distil"}}, "method distil has no second view, of another frame"),
        ({"method": {"name": "supervised"}}, "method supervised has no second view"),
        ({"data": {"source": "pipe:true"}}, "pipe:true is a stream, which has no folders"),
        ({"views": {"positives": "track"}}, "views.positives is 'track', not one of photo, tracks"),
    ],
)
def test_what_has_no_tracks_is_one_line(tmp_path, changes, words):
    photos = write_people(tmp_path / "photos")
    source = changes.pop("data", {}).get("source", photos)
    with pytest.raises(TrainingError, match=words):
        train_model(config_of(source, **changes), RunFolder(tmp_path / "run"))


def test_folders_that_are_no_tracks_are_one_line(tmp_path):
    photos = write_people(tmp_path / "photos", people=2, images=2)
    files = sorted(photos.rglob("*.png"))
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(str(path.relative_to(tmp_path)) for path in files[:2]))
    with pytest.raises(TrainingError, match="all 2 photos lie in one folder, and so are of one tr"):
        tracks_of(open_list(listed))
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, path in enumerate(files):
        path.rename(flat / f"{number}.png")
    with pytest.raises(TrainingError, match="no folder in it has two photos"):
        tracks_of(open_face_set(flat, named=False))


def test_a_joined_run_pairs_photos_of_a_person(tmp_path):
    people = write_people(tmp_path / "people")
    config = config_of(people, method={"name": "supervised"}, joined={"name": "simclr"})
    assert Path(train_model(config, RunFolder(tmp_path / "run")).model).is_file()
