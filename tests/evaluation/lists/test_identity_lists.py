"""Lists of photos with classes, as CUB, Cars196 and SOP have them, and tables."""

import numpy as np
import pytest
from list_files import write
from scipy.io import savemat

from faceverify.choices import Classes
from faceverify.errors import PairListError, UsageError
from faceverify.evaluation.benchmark import read_benchmark
from faceverify.evaluation.lists.reading import inspect, sniff

PHOTOS = ["001.Ann/1.jpg", "001.Ann/2.jpg", "002.Bob lee/1.jpg", "010.Cy/1.jpg"]
CLASSES = ["1", "1", "2", "10"]
TRAINING = [True, False, True, False]


def cub(folder, *, split=True, photos=PHOTOS):
    (folder / "images").mkdir(exist_ok=True)
    lines = {
        "images.txt": photos,
        "image_class_labels.txt": CLASSES,
        **({"train_test_split.txt": [int(one) for one in TRAINING]} if split else {}),
    }
    for name, values in lines.items():
        write(folder, "".join(f"{i} {value}\n" for i, value in enumerate(values, 1)), name)
    return folder / "images.txt"


def sop(folder):
    rows = ["image_id class_id super_class_id path"]
    rows += [f"{i} {c} 1 {p}" for i, (c, p) in enumerate(zip(CLASSES, PHOTOS, strict=True), 1)]
    return write(folder, "\n".join(rows), "Ebay_test.txt")


def cars(folder, *, path="relative_im_path", test=True):
    fields = [(path, object), ("bbox_x1", object), ("class", object)]
    fields += [("test", object)] if test else []
    rows = np.zeros(4, fields)
    for row, photo, number, training in zip(rows, PHOTOS, CLASSES, TRAINING, strict=True):
        row[path], row["bbox_x1"], row["class"] = photo, 3, int(number)
        if test:
            row["test"] = int(not training)
    savemat(folder / "cars_annos.mat", {"annotations": rows, "class_names": np.array(["a", "b"])})
    return folder / "cars_annos.mat"


def table(folder, *, header="image,class,test", name="list.csv"):
    separator = "\t" if name.endswith("tsv") else ","
    rows = [header.replace(",", separator)]
    rows += [
        separator.join((photo, number, str(int(not training))))
        for photo, number, training in zip(PHOTOS, CLASSES, TRAINING, strict=True)
    ]
    return write(folder, "\n".join(rows), name)


def photos_below(root):
    for photo in PHOTOS:
        (root / photo).parent.mkdir(parents=True, exist_ok=True)
        (root / photo).write_bytes(photo.encode())


LISTS = {
    "cub": (cub, "images", TRAINING),
    "sop": (sop, ".", None),
    "cars": (cars, ".", TRAINING),
    "identities": (table, ".", TRAINING),
}


@pytest.mark.parametrize("kind", LISTS)
def test_each_is_recognised_and_read(tmp_path, kind):
    write_list, root, training = LISTS[kind]
    path = write_list(tmp_path)
    assert sniff(path) == kind
    photos_below(tmp_path / root)
    found = read_benchmark(path, protocol="retrieval")
    assert found.photos == [tmp_path / root / photo for photo in PHOTOS]
    assert (found.names, found.identities, found.training) == (PHOTOS, CLASSES, training)
    half = read_benchmark(path, protocol="retrieval", classes=Classes.LAST_HALF)
    assert half.identities == ["2", "10"]  # of 1, 2, 10: numbers, not texts
    facts = inspect(path).facts
    assert (facts["images"], facts["people"]) == (4, 3)
    assert ("training images" in facts) == (training is not None)
    assert read_benchmark(path).protocol == "all"
    with pytest.raises(UsageError, match="photos with people, but protocol 10fold needs"):
        read_benchmark(path, protocol="10fold")


@pytest.mark.parametrize("kind", LISTS)
def test_missing_photos_are_named(tmp_path, kind):
    write_list, root, _ = LISTS[kind]
    path = write_list(tmp_path)
    photos_below(tmp_path / root)
    (tmp_path / root / PHOTOS[2]).unlink()
    with pytest.raises(PairListError, match=r"found 1 of 4 photos missing .*Bob lee"):
        read_benchmark(path)
    assert len(read_benchmark(path, check_files=False).photos) == 4
    photos_below(tmp_path / "elsewhere")
    found = read_benchmark(path, images=tmp_path / "elsewhere")
    assert found.photos[2] == tmp_path / "elsewhere" / PHOTOS[2]


def test_the_folder_of_cub_and_one_without_a_split(tmp_path):
    cub(tmp_path, split=False)
    photos_below(tmp_path / "images")
    found = read_benchmark(tmp_path, protocol="knn")
    assert (found.identities, found.training) == (CLASSES, None)


@pytest.mark.parametrize(("path", "test"), [("fname", True), ("fname", False)])
def test_the_development_kit_of_cars(tmp_path, path, test):
    photos_below(tmp_path)
    found = read_benchmark(cars(tmp_path, path=path, test=test))
    assert found.training == (TRAINING if test else None)


@pytest.mark.parametrize(
    ("header", "name", "training"),
    [
        ("image,class,test", "list.csv", TRAINING),
        ("Photo,Person,is_training", "list.tsv", [not one for one in TRAINING]),
        ("path,label,kind", "list.csv", None),
    ],
)
def test_tables(tmp_path, header, name, training):
    photos_below(tmp_path)
    found = read_benchmark(table(tmp_path, header=header, name=name))
    assert (found.identities, found.training) == (CLASSES, training)


def test_a_table_with_a_split_in_words(tmp_path):
    photos_below(tmp_path)
    text = f'path,name,split\n"{PHOTOS[0]}",a,train\n{PHOTOS[1]},a,Test\n'
    assert read_benchmark(write(tmp_path, text, "l.csv")).training == [True, False]


def test_a_table_of_pairs_is_one_of_pairs(tmp_path):
    text = "first,second,label,path,name\na.jpg,b.jpg,1,x,y\n"
    assert sniff(write(tmp_path, text, "l.csv")) == "csv"


WRONG = {
    "path,name\na.jpg\n": r"l.csv:2: found 1 cells, and 2 in the header",
    "path,name\na.jpg,\n": r"l.csv:2: found an empty cell",
    "path,name\n": "found no photos",
    "path,name\na.jpg,x\na.jpg,y\n": "found a.jpg twice, as x and as y",
    "path,name,test\na.jpg,x,perhaps\n": r"l.csv:2: found test 'perhaps'",
    "path,name,split\na.jpg,x,1\n": r"l.csv:2: found split '1', expected train or",
    '"path,name\na.jpg,x\n': "l.csv:1: found",
    "# nothing\n": "found no",
    "path,names\na.jpg,x\n": "l.csv:1: found",
    "{}\n": "l.csv:1: found",
}


@pytest.mark.parametrize("text", WRONG)
def test_tables_that_are_wrong(tmp_path, text):
    with pytest.raises(PairListError, match=WRONG[text]):
        read_benchmark(write(tmp_path, text, "l.csv"), kind="identities", check_files=False)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("images.txt", "1 a.jpg\n1 b.jpg\n", "id 1 again"),
        ("images.txt", "1 a.jpg\n9 b.jpg\n", "photo 9, expected a line of it in image_class"),
        ("images.txt", "1\n", "images.txt:1: found '1'"),
        (
            "train_test_split.txt",
            "1 2\n2 0\n3 0\n4 0\n",
            r"split.txt:1: found '2', expected 0 or 1",
        ),
        ("train_test_split.txt", "1 0\n", "photo 2, expected a line of it in train_test"),
    ],
)
def test_cub_that_is_wrong(tmp_path, name, text, said):
    path = cub(tmp_path)
    write(tmp_path, text, name)
    with pytest.raises(PairListError, match=said):
        read_benchmark(path, check_files=False)


def test_sop_and_cars_that_are_wrong(tmp_path):
    header = "image_id class_id super_class_id path\n"
    with pytest.raises(PairListError, match=r"list.txt:2: found '1 a 1 x.jpg'"):
        read_benchmark(write(tmp_path, header + "1 a 1 x.jpg\n"))
    for content in (b"", b"MATLAB 5.0 MAT-file" + bytes(300), b"nothing"):
        (tmp_path / "x.mat").write_bytes(content)
        with pytest.raises(PairListError, match="found no 'annotations' that can be read"):
            read_benchmark(tmp_path / "x.mat")
    savemat(tmp_path / "x.mat", {"annotations": np.zeros(2, [("fname", object)])})
    with pytest.raises(PairListError, match="found fields fname, expected class"):
        read_benchmark(tmp_path / "x.mat")
    with pytest.raises(PairListError, match="No such file"):
        read_benchmark(tmp_path / "none.mat")


def test_half_of_one_class(tmp_path):
    path = write(tmp_path, "path,name\na.jpg,x\nb.jpg,x\n", "l.csv")
    with pytest.raises(PairListError, match="found one class, expected two"):
        read_benchmark(path, classes=Classes.LAST_HALF, check_files=False)


def test_pairs_have_no_classes_and_folders_do(tmp_path):
    pairs = write(tmp_path, "a/1.jpg b/1.jpg 0\na/1.jpg a/2.jpg 1\n")
    with pytest.raises(UsageError, match="is a list of pairs, not of classes"):
        read_benchmark(pairs, classes=Classes.LAST_HALF, check_files=False)
    people = read_benchmark(pairs, protocol="knn", classes=Classes.LAST_HALF, check_files=False)
    assert people.identities == ["b"]
    photos_below(tmp_path / "birds")
    found = read_benchmark(tmp_path / "birds", classes=Classes.LAST_HALF)
    assert set(found.identities) == {"002.Bob lee", "010.Cy"}
