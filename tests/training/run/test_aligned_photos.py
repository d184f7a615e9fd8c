"""Photos that are no crops: cut out first, and once; what does not fit is refused before."""

import shutil
from pathlib import Path

import pytest
from generated_people import tiny_config
from PIL import Image

from faceverify.errors import FaceverifyError, TrainingError
from faceverify.models.model_file import load_model_file
from faceverify.training.run.folder import RunFolder
from faceverify.training.run.train import train_model

FACES = Path(__file__).parents[2] / "faces"


@pytest.fixture
def photos(tmp_path):
    """Seven photos of faces, two with one place for the crop, one of no face, a file of text."""
    folder = tmp_path / "photos"
    for name in ("biden", "obama"):
        (folder / name).mkdir(parents=True)
        for copy in ("0", "1", "2"):
            shutil.copy(FACES / f"{name}.jpg", folder / name / f"{copy}.jpg")
    shutil.copy(FACES / "obama.jpg", folder / "obama" / "0.jpeg")  # its crop has the place of 0.jpg
    Image.new("RGB", (200, 200), "blue").save(folder / "obama" / "nobody.jpg")
    (folder / "biden" / "text.jpg").write_text("no photo")
    return folder


def aligned(photos, **changes):
    given = {"method": {"name": "simclr"}, "batches": {"size": 4}, "budget": {"steps": 2},
             "data": {"align": True}, "augmentation": {"least_area": 0.5}}  # fmt: skip
    return tiny_config(photos, **{**given, **changes})


@pytest.mark.thorough
def test_photos_are_cut_out_into_the_run(photos, tmp_path):
    run, said, shown = RunFolder(tmp_path / "run"), [], []

    def show(items, label, total):
        shown.append((label, total))
        return iter(items)

    trained = train_model(aligned(photos), run, say=said.append, show_progress=show)
    crops = run.crops / "photos"
    assert sorted(str(path.relative_to(crops)) for path in crops.rglob("*.png")) == [
        f"{name}/{copy}.png" for name in ("biden", "obama") for copy in "012"
    ]
    with Image.open(crops / "biden" / "0.png") as crop:
        assert crop.size == (112, 112)
    assert shown[0] == ("photos cut out", 9)
    assert f"left out: {photos}/obama/nobody.jpg (no face in the photo)" in said
    assert any(line.startswith("6 faces cut out of 9 photos; 3 left out (") for line in said)
    assert "6 photos; resnet18 and simclr on cpu (1 threads)" in said
    assert load_model_file(trained.model).provenance.dataset == "photos: 6 photos, without names"
    data = run.read_config().data
    assert (data.source, data.align) == (str(crops), False)


@pytest.mark.thorough
def test_a_run_that_was_stopped_while_it_cut_goes_on(photos, tmp_path):
    run = RunFolder(tmp_path / "run")

    def interrupted(items, label, total):
        for number, item in enumerate(items):
            if number == 4:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        train_model(aligned(photos), run, show_progress=interrupted)
    first = {path: path.stat().st_mtime_ns for path in run.crops.rglob("*.png")}
    assert first
    assert not run.config.exists()
    train_model(aligned(photos), run)
    assert {path: path.stat().st_mtime_ns for path in first} == first
    (photos / "biden" / "0.jpg").unlink()  # a run that has begun does not look at the photos again
    train_model(run.read_config(), run, resume=True)


@pytest.mark.thorough
def test_people_are_cut_out_too(photos, tmp_path):
    run, said = RunFolder(tmp_path / "run"), []
    train_model(aligned(photos, method={"name": "supervised"}), run, say=said.append)
    assert "6 images of 2 people; resnet18 and arcface on cpu (1 threads)" in said


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": {"name": "moco"}}, "method.queue is 4096, not in 1 to the number of photos, 9"),
        ({"method": {"name": "mae"}}, "masks patches, and this backbone has none"),
        ({"batches": {"size": 64}}, "9 photos do not fill a batch of 64"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_the_work(photos, tmp_path, changes, words):
    run = RunFolder(tmp_path / "run")
    with pytest.raises(TrainingError, match=words):
        train_model(aligned(photos, **changes), run)
    assert not run.path.exists()


def test_what_cannot_be_cut_out_is_one_line(photos, tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text("photos/biden/0.jpg\nphotos/obama/0.jpg\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    for source, folder, words in (
        (listed, tmp_path, "--align cuts faces out of a folder of photos, and .* is none"),
        ("pipe:true", tmp_path, "--align cuts faces out of a folder of photos, and pipe:true"),
        (tmp_path / "nowhere", tmp_path, "--align cuts faces out of a folder of photos"),
        (empty, tmp_path, "empty: found no photo"),
        (photos, photos, "which is searched for photos"),
    ):
        with pytest.raises(FaceverifyError, match=words) as found:
            train_model(aligned(source), RunFolder(folder / "run"))
        assert len(str(found.value).splitlines()) == 1
    for path in photos.rglob("[012].jp*g"):
        shutil.copy(photos / "obama" / "nobody.jpg", path)
    with pytest.raises(
        TrainingError, match=r"found no face in 9 photos \(image-not-an-image 1, no-"
    ):
        train_model(aligned(photos), RunFolder(tmp_path / "run"))
