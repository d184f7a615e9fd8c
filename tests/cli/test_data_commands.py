"""``faceverify data`` on training sets: inspect, convert, split, check."""

import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from faceverify.evaluation.lists.insightface_bin import read_pack
from faceverify.training.data.sets.open import open_face_set


def picture(seed, size=(112, 112), kind="JPEG"):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(stream, kind)
    return stream.getvalue()


@pytest.fixture
def people(tmp_path):
    """Ann 3, bob 2, eve 2 and joe 2 pictures of no faces."""
    seed = 0
    for name, count in (("ann", 3), ("bob", 2), ("eve", 2), ("joe", 2)):
        (tmp_path / "people" / name).mkdir(parents=True)
        for number in range(count):
            (tmp_path / "people" / name / f"{number}.jpg").write_bytes(picture(seed))
            seed += 1
    return tmp_path / "people"


def content(faces):
    """Images by person, in any order."""
    pairs = (
        (faces.identities[label], faces.read(index)) for index, label in enumerate(faces.labels)
    )
    return sorted(pairs)


# Inspect


def test_a_folder_of_people_is_counted(run, people):
    ran = run("data", "inspect", people)
    assert ran.status == 0
    assert "a folder of people" in ran.out
    (people / "zoe").mkdir()
    (people / "joe" / "2.png").write_bytes(picture(9, (60, 50), "PNG"))
    (people / "joe" / "3.jpg").write_bytes(b"torn")
    (found,) = run("data", "inspect", people, "--json").objects
    assert found["kind"] == "folders"
    assert found["facts"] == {
        "images": 11, "people": 4, "fewest images of a person": 2,
        "images of a person, median": 2, "most": 4, "width, pixels": 112, "height": 112,
    }  # fmt: skip
    assert found["notes"] == [
        "1 people have no photo (zoe): left out",
        "1 of 11 images have another size",
        "1 of 11 images cannot be read: faceverify data check",
    ]


@pytest.mark.parametrize("kind", ["recordio", "webdataset"])
def test_other_formats_are_told(run, people, tmp_path, kind):
    assert run("data", "convert", people, tmp_path / "set", "--to", kind).status == 0
    (found,) = run("data", "inspect", tmp_path / "set", "--json").objects
    assert (found["kind"], found["facts"]["images"], found["facts"]["people"]) == (kind, 9, 4)


def test_what_is_no_set_is_refused(run, tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "none.rec"):
        ran = run("data", "inspect", tmp_path / name)
        assert ran.status == 2
        assert ran.err.count("\n") == 1


# Convert


@pytest.mark.parametrize("first", ["recordio", "webdataset", "folders"])
@pytest.mark.parametrize("second", ["recordio", "webdataset", "folders"])
def test_there_and_back_byte_for_byte(run, people, tmp_path, first, second):
    one, other = tmp_path / "one", tmp_path / "other"
    assert run("data", "convert", people, one, "--to", first, "-q").status == 0
    ran = run("data", "convert", one, other, "--to", second, "--json")
    assert ran.status == 0
    assert ran.objects[0] == {
        "out": str(other), "format": second, "photos": 9, "done": 9, "skipped": 0, "refused": 0,
    }  # fmt: skip
    assert content(open_face_set(other)) == content(open_face_set(people))
    if first == second == "folders":
        assert sorted(p.name for p in (other / "ann").iterdir()) == ["0.jpg", "1.jpg", "2.jpg"]


def test_further_values_travel(run, people, tmp_path):
    rows = [f"{path.relative_to(people)},{n}" for n, path in enumerate(people.glob("*/*.jpg"))]
    (people / "labels.csv").write_text("path,age\n" + "\n".join(rows) + "\n")
    assert run("data", "convert", people, tmp_path / "a", "--to", "webdataset").status == 0
    assert run("data", "convert", tmp_path / "a", tmp_path / "b", "--to", "folders").status == 0

    def ages(folder):
        faces = open_face_set(folder)
        return {faces.read(i): faces.columns["age"][i] for i in range(len(faces))}

    assert ages(tmp_path / "b") == ages(people)
    packed = run("data", "convert", people, tmp_path / "c", "--to", "recordio")
    assert "age: not carried, RecordIO holds the person alone" in packed.err
    assert "not carried" not in run("data", "inspect", people).err


def test_resized(run, people, tmp_path):
    (people / "ann" / "9.jpg").write_bytes(picture(50, (64, 64)))
    (people / "ann" / "torn.jpg").write_bytes(picture(51)[:500])
    ran = run("data", "convert", people, tmp_path / "a", "--to", "recordio", "--size", "64")
    assert ran.status == 2
    assert "torn.jpg: cut short" in ran.err
    assert "11 photos: 10 done, 1 refused (image-truncated 1)" in ran.err
    faces = open_face_set(tmp_path / "a")
    assert {tuple(faces.image(i).shape) for i in range(len(faces))} == {(3, 64, 64)}
    assert faces.counts().tolist() == [4, 2, 2, 2]
    assert ("ann", (people / "ann" / "9.jpg").read_bytes()) in content(faces)  # it had the size


def test_aligned(run, small_faces, tmp_path):
    for name, photo in small_faces.items():
        (tmp_path / "photos" / name[:5]).mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name[:5] / f"{name}.jpg").write_bytes(photo)
    (tmp_path / "photos" / "wall").mkdir()
    (tmp_path / "photos" / "wall" / "1.jpg").write_bytes(picture(1))
    crops = tmp_path / "crops"
    ran = run(
        "data", "convert", tmp_path / "photos", crops, "--to", "folders", "--align", "arcface-112"
    )
    assert ran.status == 3
    assert "wall/1.jpg: no face" in ran.err
    faces = open_face_set(crops)
    assert faces.identities == ["biden", "obama"]
    assert tuple(faces.image(0).shape) == (3, 112, 112)
    ran = run("data", "check", crops, "--ignore", "single")
    assert (ran.status, ran.out) == (0, "")  # its own crops look aligned
    ran = run("data", "check", tmp_path / "photos", "--ignore", "single", "--ignore", "shape")
    assert ran.status == 1
    assert ran.out.startswith("unaligned: ")


def test_some_people_only(run, people, tmp_path):
    (tmp_path / "list.txt").write_text("eve\nann\n")
    run(
        "data",
        "convert",
        people,
        tmp_path / "a",
        "--to",
        "folders",
        "--only",
        tmp_path / "list.txt",
    )
    assert open_face_set(tmp_path / "a").identities == ["ann", "eve"]
    run(
        "data",
        "convert",
        people,
        tmp_path / "b",
        "--to",
        "folders",
        "--without",
        tmp_path / "list.txt",
    )
    assert open_face_set(tmp_path / "b").identities == ["bob", "joe"]
    (tmp_path / "list.txt").write_text("eve\nmallory\n")
    ran = run(
        "data",
        "convert",
        people,
        tmp_path / "c",
        "--to",
        "folders",
        "--only",
        tmp_path / "list.txt",
    )
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "mallory" in ran.err


def test_a_destination_that_is_there(run, people, tmp_path):
    (tmp_path / "there").mkdir()
    assert run("data", "convert", people, tmp_path / "there", "--to", "folders").status == 0
    ran = run("data", "convert", people, tmp_path / "there", "--to", "folders")
    assert ran.status == 2
    assert "is there already" in ran.err


def test_what_fails_leaves_nothing(run, people, tmp_path):
    (people / "ann" / "gone.jpg").symlink_to("nowhere")
    ran = run("data", "convert", people, tmp_path / "a", "--to", "recordio")
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "gone.jpg" in ran.err
    assert sorted(os.listdir(tmp_path)) == ["people"]


def test_names_that_lead_elsewhere(run, people, tmp_path):
    run("data", "convert", people, tmp_path / "pack", "--to", "recordio")
    (tmp_path / "pack" / "identities.txt").write_text("ann\nbob\n../../eve\njoe\n")
    ran = run("data", "convert", tmp_path / "pack", tmp_path / "out", "--to", "folders")
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "'../../eve', which cannot be a folder" in ran.err
    assert not (tmp_path / "out").exists()


def test_packs(run, people, tmp_path):
    (tmp_path / "pairs.csv").write_text(
        "first,second,label\nann/0.jpg,ann/1.jpg,1\nann/0.jpg,bob/0.jpg,0\n"
    )
    pack = tmp_path / "small.bin"
    ran = run("data", "convert", people, pack, "--to", "pack", "--pairs", tmp_path / "pairs.csv")
    assert ran.status == 0
    found = read_pack(pack)
    names = ("ann/0.jpg", "ann/1.jpg", "ann/0.jpg", "bob/0.jpg")
    assert found.images == [(people / name).read_bytes() for name in names]
    assert found.pairs.same.tolist() == [True, False]
    assert run("data", "convert", pack, tmp_path / "back", "--to", "folders").status == 0
    assert (tmp_path / "back" / "pairs.csv").read_text() == (
        "first,second,label\nimages/000000.jpg,images/000001.jpg,1\n"
        "images/000002.jpg,images/000003.jpg,0\n"
    )
    (found,) = run("data", "inspect", tmp_path / "back" / "pairs.csv", "--json").objects
    assert found["facts"]["genuine"] == 1
    for wrong in (
        (people, pack, "--to", "pack"),
        (pack, tmp_path / "x", "--to", "recordio"),
        (people, tmp_path / "x", "--to", "folders", "--pairs", tmp_path / "pairs.csv"),
        (people, pack, "--to", "pack", "--pairs", tmp_path / "pairs.csv", "--only", pack),
    ):
        ran = run("data", "convert", *wrong)
        assert (ran.status, ran.err.count("\n")) == (2, 1)


# Split


def test_nobody_is_on_both_sides(run, people, tmp_path):
    ran = run("data", "split", people, tmp_path / "parts", "--fraction", "0.25", "--json")
    assert ran.status == 0
    train, held = ((tmp_path / "parts" / f"{name}.txt").read_text().split()
                   for name in ("train", "held-out"))  # fmt: skip
    assert sorted(train + held) == ["ann", "bob", "eve", "joe"]
    assert len(held) == 1
    assert [line["people"] for line in ran.objects] == [3, 1]
    assert sum(line["images"] for line in ran.objects) == 9


def test_links(run, people, tmp_path):
    run("data", "split", people, tmp_path / "parts", "--identities", "2", "--as", "links")
    parts = [open_face_set(tmp_path / "parts" / name) for name in ("train", "held-out")]
    assert not set(parts[0].identities) & set(parts[1].identities)
    assert sorted(content(parts[0]) + content(parts[1])) == content(open_face_set(people))
    assert os.stat(parts[0].name(0)).st_nlink == 2
    run("data", "convert", people, tmp_path / "pack", "--to", "recordio")
    ran = run(
        "data", "split", tmp_path / "pack", tmp_path / "x", "--identities", "2", "--as", "links"
    )
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert not (tmp_path / "x").exists()


IMPOSSIBLE = [
    (), ("--fraction", "0"), ("--fraction", "1"), ("--identities", "9"),
    ("--fraction", "0.5", "--identities", "2"),
]  # fmt: skip


@pytest.mark.parametrize("wanted", IMPOSSIBLE)
def test_impossible_splits(run, people, tmp_path, wanted):
    ran = run("data", "split", people, tmp_path / "parts", *wanted)
    assert ran.status == 2
    assert not (tmp_path / "parts").exists()


# Check


def problems(run, *arguments):
    ran = run("data", "check", *arguments, "--sample", "0", "--json")
    return ran.status, sorted(
        (line["problem"], os.path.basename(line["where"])) for line in ran.objects
    )


def test_a_clean_set(run, people):
    ran = run("data", "check", people, "--sample", "0")
    assert (ran.status, ran.out) == (0, "")
    assert ran.err == "9 images of 4 people: no problems\n"


def test_problems_are_found(run, people):
    (people / "nobody").mkdir()
    (people / "zoe").mkdir()
    (people / "zoe" / "only.jpg").write_bytes(picture(70))
    (people / "ann" / "torn.jpg").write_bytes(picture(71)[:400])
    (people / "ann" / "void.jpg").write_bytes(b"")
    (people / "ann" / "again.jpg").write_bytes((people / "ann" / "0.jpg").read_bytes())
    (people / "bob" / "taken.jpg").write_bytes((people / "eve" / "1.jpg").read_bytes())
    (people / "eve" / "small.jpg").write_bytes(picture(72, (40, 40)))
    (people / "eve" / "wide.jpg").write_bytes(picture(73, (140, 100)))
    (people / "joe" / "gone.jpg").symlink_to("nowhere")
    status, found = problems(run, people)
    assert status == 1
    assert found == [
        ("conflict", "1.jpg"), ("duplicate", "again.jpg"), ("empty", "nobody"),
        ("shape", "wide.jpg"), ("single", "zoe"), ("tiny", "small.jpg"),
        ("unreadable", "gone.jpg"), ("unreadable", "torn.jpg"), ("unreadable", "void.jpg"),
    ]  # fmt: skip
    kinds = {kind for kind, _ in found}
    ignored = [word for kind in kinds for word in ("--ignore", kind)]
    assert problems(run, people, *ignored) == (0, [])
    assert run("data", "check", people, "--ignore", "ugly").status == 2


def test_names_of_an_evaluation(run, people, tmp_path):
    (people / "web_Ann-Smith").mkdir()
    (people / "web_Ann-Smith" / "1.jpg").write_bytes(picture(80))
    (people / "web_Ann-Smith" / "2.jpg").write_bytes(picture(81))
    lines = "10\t1\n" + "Ann_Smith\t1\t2\nSmith\t1\tBob\t1\n" * 10
    (tmp_path / "pairs.txt").write_text(lines)
    assert problems(run, people, "--against", tmp_path / "pairs.txt") == (
        1, [("name", "bob"), ("name", "web_Ann-Smith")]
    )  # fmt: skip


def test_unusable_is_not_unclean(run, tmp_path):
    for arguments in ((tmp_path / "none",), (tmp_path, "--against", tmp_path / "none")):
        ran = run("data", "check", *arguments)
        assert (ran.status, ran.err.count("\n")) == (2, 1)


def test_a_flood_of_problems_is_one_object_a_line(run, people):
    for number in range(20):
        (people / "ann" / f"x{number}.jpg").write_bytes(b"torn")
    lines = run("data", "check", people, "--sample", "0", "--json").out.splitlines()
    assert len(lines) == 20
    assert all(json.loads(line)["problem"] == "unreadable" for line in lines)


def test_what_needs_no_torch_imports_none(people, tmp_path):
    commands = [["inspect", str(people)], ["split", str(people), "parts", "--identities", "1"]]
    commands += [["convert", str(people), "pack", "--to", "recordio"], ["inspect", "pack"]]
    probe = (
        "import sys; from faceverify.cli import main\n"
        "for command in {}:\n"
        "    sys.argv[1:] = ['data', *command]\n"
        "    try:\n"
        "        main()\n"
        "    except SystemExit as leaving:\n"
        "        assert not leaving.code, command\n"
        "    assert 'torch' not in sys.modules, command\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", probe.format(commands)], cwd=tmp_path, capture_output=True, text=True
    )
    assert (ran.returncode, ran.stderr.count("Error")) == (0, 0), ran.stderr
