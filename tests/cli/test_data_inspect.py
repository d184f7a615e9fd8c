"""``faceverify data inspect``."""

import pickle


def test_a_list_is_told_and_counted(run, tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("first,second,label\na/1.jpg,a/2.jpg,1\na/1.jpg,b/1.jpg,0\n")
    ran = run("data", "inspect", path)
    assert ran.status == 0
    assert "CSV pair list (--kind csv)" in ran.out
    assert "         2  pairs" in ran.out
    (found,) = run("data", "inspect", path, "--json").objects
    assert found["kind"] == "csv"
    assert found["facts"]["genuine"] == 1


def test_official_lists(run, shared_data):
    (found,) = run("data", "inspect", shared_data / "protocols" / "pairs.txt", "--json").objects
    assert found["kind"] == "lfw-view2"
    assert found["facts"] == {
        "pairs": 6000, "genuine": 3000, "impostor": 3000, "images": 7701, "people": 4281,
        "folds": 10,
    }  # fmt: skip


def test_a_hostile_pack_runs_nothing(run, tmp_path):
    class Hostile:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    (tmp_path / "pack.bin").write_bytes(pickle.dumps(Hostile()))
    ran = run("data", "inspect", tmp_path / "pack.bin")
    assert ran.status == 2
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "ran").exists()


def test_what_is_no_list_is_refused(run, tmp_path):
    (tmp_path / "notes.txt").write_text("dear diary\n")
    ran = run("data", "inspect", tmp_path / "notes.txt")
    assert ran.status == 2
    assert "notes.txt:1" in ran.err
