"""``faceverify enroll`` as an operator meets it: one person, a folder of people, a list, a pipe."""

import json
import os
import shutil
import signal
import stat
from pathlib import Path

import pytest
from PIL import Image

from faceverify.gallery.open import open_store


@pytest.fixture
def gallery(tmp_path, monkeypatch) -> Path:
    """Where a gallery will be, named by the environment."""
    folder = tmp_path / "gallery"
    monkeypatch.setenv("FACEVERIFY_GALLERY", str(folder))
    for name in ("FACEVERIFY_GALLERY_KEY", "FACEVERIFY_AUDIT"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def photos(tmp_path, small_faces, monkeypatch) -> dict[str, Path]:
    """The free photos and a wall, in the working folder."""
    monkeypatch.chdir(tmp_path)
    files = {}
    for name, data in small_faces.items():
        files[name] = Path(f"{name}.jpg")
        files[name].write_bytes(data)
    files["wall"] = Path("wall.png")
    Image.new("RGB", (100, 100), "navy").save("wall.png")
    return files


def enrolled(gallery: Path) -> dict[str, list[str]]:
    """Who is enrolled, with the names of the photos."""
    with open_store(str(gallery)) as store:
        return {name: [Path(t.photo).name for t in store.of(name)] for name, _ in store.names()}


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_a_person_is_enrolled_and_the_gallery_is_the_owners_alone(run, gallery, photos):
    ran = run("enroll", "Barack Obama", "obama.jpg", "obama2.jpg")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "Barack Obama: obama.jpg enrolled as template 1",
        "Barack Obama: obama2.jpg enrolled as template 2",
    ]
    assert enrolled(gallery) == {"Barack Obama": ["obama.jpg", "obama2.jpg"]}
    assert mode(gallery) == "0o700"
    assert {mode(path) for path in gallery.rglob("*") if path.is_file()} == {"0o600"}


def test_again_is_no_error(run, gallery, photos):
    run("enroll", "joe", "biden.jpg")
    ran = run("enroll", "joe", "biden.jpg")
    assert (ran.status, ran.out) == (0, "joe: biden.jpg is enrolled already, as template 1\n")


def test_refused_photos_stop_no_others_and_decide_the_status(run, gallery, photos):
    ran = run("enroll", "barack", "obama.jpg", "wall.png", "obama2.jpg", "--json")
    assert ran.status == 3
    assert [one["status"] for one in ran.objects] == ["enrolled", "refused", "enrolled"]
    assert ran.objects[1]["error"]["code"] == "no-face"
    assert ran.err.startswith("wall.png: no face found")
    assert run("enroll", "barack", "missing.jpg", "wall.png").status == 2
    ran = run("enroll", "joe", "obama3.jpg")
    assert (ran.status, ran.out) == (3, "")
    assert "enrolled as 'barack' already" in ran.err
    assert run("enroll", "joe", "obama3.jpg", "--force").status == 0
    assert run("enroll", "ann", "obama3.jpg", "--threshold", "1e-6").status == 3
    assert enrolled(gallery) == {"barack": ["obama.jpg", "obama2.jpg"], "joe": ["obama3.jpg"]}


def test_quality_and_number_of_faces_are_asked_for(run, gallery, photos, small_faces):
    couple = Image.new("RGB", (840, 560))
    for left, name in ((0, "obama"), (420, "biden")):
        couple.paste(Image.open(photos[name]), (left, 0))
    couple.save("couple.jpg")
    (told,) = run("enroll", "barack", "couple.jpg", "--json").objects
    assert told["error"]["code"] == "several-faces"
    with Image.open("obama.jpg") as image:
        image.resize([side // 10 for side in image.size]).resize(image.size).save("blurred.jpg")
    (told,) = run("enroll", "barack", "blurred.jpg", "--json").objects
    assert told["error"]["code"] == "low-quality"
    assert run("enroll", "barack", "couple.jpg", "--face", "largest").status == 0


def test_standard_input_is_a_photo_or_a_list(run, gallery, photos, small_faces):
    assert run("enroll", "joe", "-", stdin=small_faces["biden"]).status == 0
    ran = run("enroll", "barack", "-", "--json", stdin=b"obama.jpg\nobama2.jpg\n")
    assert [one["photo"] for one in ran.objects] == ["obama.jpg", "obama2.jpg"]
    assert enrolled(gallery)["joe"] == ["standard input"]


@pytest.fixture
def tree(tmp_path, photos) -> Path:
    """Two people, one of them with photos in a folder below; an empty one, and a stray photo."""
    root = tmp_path / "people"
    for name in ("Ádám", "joe/old", "nobody", ".hidden"):
        (root / name).mkdir(parents=True)
    shutil.copy(photos["obama"], root / "Ádám" / "1.jpg")
    shutil.copy(photos["obama2"], root / "Ádám" / "2.jpg")
    shutil.copy(photos["biden"], root / "joe" / "old" / "1.jpg")
    shutil.copy(photos["obama3"], root / ".hidden")
    shutil.copy(photos["obama3"], root / "stray.jpg")
    (root / "notes.txt").write_text("no photo")
    return root


def test_a_tree_is_a_folder_a_person(run, gallery, tree):
    ran = run("enroll", "--tree", tree, "--json")
    assert ran.status == 2
    assert {one["photo"]: one["error"]["code"] for one in ran.objects if one["error"]} == {
        str(tree / "nobody"): "image-missing",
        str(tree / "stray.jpg"): "image-of-nobody",
    }
    assert enrolled(gallery) == {"joe": ["1.jpg"], "Ádám": ["1.jpg", "2.jpg"]}
    assert "5 photos: 3 done, 2 refused (image-missing 1, image-of-nobody 1)" in ran.err
    (tree / "stray.jpg").unlink()
    (tree / "nobody").rmdir()
    shutil.copy("obama3.jpg", tree / "Ádám" / "3.jpg")
    again = run("enroll", "--tree", tree)
    assert again.status == 0
    assert "4 photos: 1 done, 3 were there already" in again.err
    assert enrolled(gallery)["Ádám"] == ["1.jpg", "2.jpg", "3.jpg"]


LISTS = {
    "csv": 'name,photo\n"Obama, Barack",obama.jpg\njoe,"biden.jpg"\njoe\n',
    "tabs": "Obama, Barack\tobama.jpg\njoe\tbiden.jpg\njoe\n",
    "json": '{"name": "Obama, Barack", "photo": "obama.jpg"}\n'
    '{"photo": "biden.jpg", "name": "joe", "id": 7}\n{"name": "joe"}\n',
}


@pytest.mark.parametrize("form", LISTS)
@pytest.mark.parametrize("where", ["file", "stdin"])
def test_a_list_of_names_and_photos(run, gallery, photos, form, where):
    text = LISTS[form].encode()
    Path("list.txt").write_bytes(text)
    if where == "file":
        ran = run("enroll", "--csv", "list.txt", "--json")
    else:
        ran = run("enroll", "--csv", "-", "--json", stdin=text)
    assert ran.status == 2
    assert [one["status"] for one in ran.objects] == ["enrolled", "enrolled", "refused"]
    assert ran.objects[2]["error"]["code"] == "pair-list"
    assert f":{4 if form == 'csv' else 3}: " in ran.objects[2]["error"]["message"]
    assert enrolled(gallery) == {"Obama, Barack": ["obama.jpg"], "joe": ["biden.jpg"]}


@pytest.mark.thorough
def test_a_coprocess_is_answered_once_the_template_is_on_the_disk(start, gallery, photos):
    process = start("enroll", "--csv", "-", "--json")
    for name, photo in (("barack", "obama.jpg"), ("joe", "biden.jpg")):
        process.stdin.write(f"{name},{photo}\n".encode())
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        assert (answer["name"], answer["status"]) == (name, "enrolled")
        assert photo in enrolled(gallery)[name]  # another process can read it
    process.stdin.close()
    assert process.wait(20) == 0


@pytest.mark.thorough
def test_a_killed_run_goes_on_where_it_stopped(start, run, gallery, photos):
    process = start("enroll", "--csv", "-", "--json")
    process.stdin.write(b"barack,obama.jpg\n")
    process.stdin.flush()
    process.stdout.readline()
    process.kill()
    process.wait()
    ran = run("enroll", "--csv", "-", "--json", stdin=b"barack,obama.jpg\njoe,biden.jpg\n")
    assert [one["status"] for one in ran.objects] == ["already", "enrolled"]


def test_the_default_gallery_lies_in_the_data_folder(run, tmp_path, photos, monkeypatch):
    for name in ("FACEVERIFY_GALLERY", "FACEVERIFY_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert run("enroll", "joe", "biden.jpg").status == 0
    assert enrolled(tmp_path / "data" / "faceverify" / "gallery") == {"joe": ["biden.jpg"]}


def test_keys(run, gallery, photos, monkeypatch):
    pytest.importorskip("cryptography")
    Path("key").write_text("correct horse\n")
    assert run("enroll", "joe", "biden.jpg", "--key-file", "key").status == 0
    for path in gallery.rglob("*"):
        assert path.is_dir() or b"biden.jpg" not in path.read_bytes()
    monkeypatch.setenv("FACEVERIFY_GALLERY_KEY", "correct horse")
    assert "already" in run("enroll", "joe", "biden.jpg").out
    monkeypatch.delenv("FACEVERIFY_GALLERY_KEY")
    locked = run("enroll", "joe", "biden.jpg")
    assert (locked.status, locked.out, locked.err.count("\n")) == (2, "", 1)
    Path("empty").write_text("\n")
    Path("binary").write_bytes(b"\xff\xfe\x00")
    for name in ("missing", "empty", "binary"):
        ran = run("enroll", "joe", "biden.jpg", "--key-file", name)
        assert (ran.status, ran.err.count("\n")) == (2, 1)
        assert ran.err.startswith(f"faceverify: {name}: ")


def test_the_audit_log(run, gallery, photos):
    assert run("enroll", "joe", "biden.jpg", "--audit", "audit.jsonl").status == 0
    (line,) = map(json.loads, Path("audit.jsonl").read_text().splitlines())
    assert (line["event"], line["name"]) == ("enroll", "joe")
    assert mode(Path("audit.jsonl")) == "0o600"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["joe"],
        ["joe", "biden.jpg", "--tree", "."],
        ["--tree", ".", "--csv", "-"],
        ["--tree", "missing"],
        ["--tree", "biden.jpg"],
        ["--csv", "missing.csv"],
        ["joe", "biden.jpg", "--face", "all"],
        ["joe", "biden.jpg", "--fpir", "0"],
        ["joe", "biden.jpg", "--fpir", "2"],
        ["joe", "biden.jpg", "--model", "no-such-model"],
        ["joe", "biden.jpg", "--gallery", "biden.jpg"],
        [" joe", "biden.jpg"],
    ],
)
def test_wrong_usage(run, gallery, photos, arguments):
    ran = run("enroll", *arguments)
    assert ran.status == 2
    assert ran.out == ""
    assert "Traceback" not in ran.err


def test_names_of_files_that_are_no_text(run, gallery, photos):
    name = os.fsdecode(b"x\xff.jpg")
    os.rename("biden.jpg", name)
    ran = run("enroll", "joe", name)
    assert (ran.status, ran.err) == (0, "")
    with open_store(str(gallery)) as store:
        (stored,) = store.of("joe")
    assert os.path.basename(stored.photo) == name
    Path(os.fsdecode(b"people/\xfe")).mkdir(parents=True)
    os.rename(name, os.fsdecode(b"people/\xfe/1.jpg"))
    ran = run("enroll", "--tree", "people")
    assert (ran.status, ran.err.count("\n")) == (2, 2)
    assert "is no name of a person" in ran.err


@pytest.mark.thorough
def test_interrupted_with_ctrl_c(start, gallery, photos):
    process = start("enroll", "--csv", "-")
    process.stdin.write(b"joe,biden.jpg\n")
    process.stdin.flush()
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert process.stderr.read() == b"faceverify: interrupted\n"
    assert enrolled(gallery) == {"joe": ["biden.jpg"]}


@pytest.mark.thorough
@pytest.mark.parametrize("engine", ["processes", pytest.param("ray", marks=pytest.mark.slow)])
def test_every_engine_enrolls_the_same(run, tmp_path, small_faces, engine):
    people = {"obama": "Barack", "obama2": "Barack", "biden": "Joe"}
    lines = []
    for photo, name in people.items():
        (tmp_path / f"{photo}.jpg").write_bytes(small_faces[photo])
        lines.append(f"{name},{tmp_path / photo}.jpg\n")
    listed = tmp_path / "people.csv"
    listed.write_text("".join([*lines, f"Joe,{tmp_path / 'none.jpg'}\n"]))
    told = {}
    for way in ("threads", engine):
        command = ("enroll", "--csv", listed, "--gallery", tmp_path / way, "--engine", way)
        first, second = run(*command, "--json"), run(*command, "--json")
        assert first.status == second.status == 2
        assert [one["status"] for one in first.objects] == ["enrolled"] * 3 + ["refused"]
        assert [one["status"] for one in second.objects] == ["already"] * 3 + ["refused"]
        told[way] = first.objects
    assert told["threads"] == told[engine]


def test_a_photo_on_standard_input_needs_threads(run, tmp_path, small_faces):
    gallery = ("--gallery", tmp_path / "gallery", "--engine", "processes")
    ran = run("enroll", "Joe", "-", *gallery, stdin=small_faces["biden"])
    assert ran.status == 2
    assert "--engine threads alone" in ran.err


def test_a_tree_one_too_high_makes_no_gallery(run, tmp_path, small_faces):
    for part in ("train", "val"):
        (tmp_path / "set" / part / "obama").mkdir(parents=True)
        (tmp_path / "set" / part / "obama" / "1.jpg").write_bytes(small_faces["obama"])
    ran = run("enroll", "--tree", tmp_path / "set", "--gallery", tmp_path / "g")
    assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert f"such as {tmp_path / 'set' / 'train'};" in ran.err
    assert not (tmp_path / "g").exists()
