"""What each command says of fixed inputs: its exit status, and its ``--json`` whole."""

import shlex
from pathlib import Path

import pytest
from golden_values import stable
from PIL import Image, ImageStat

from faceverify.models.registry import bundled_folder

# The commands of a group run one after the other in one folder.
COMMANDS = {
    "verify": {
        "one person": "verify obama.jpg obama2.jpg",
        "two people": "verify obama.jpg biden.jpg",
        "a stricter rate": "verify obama.jpg obama2.jpg --fmr 1e-6",
        "a threshold": "verify obama.jpg obama2.jpg --threshold 0.01",
        "no face": "verify obama.jpg wall.png",
        "a torn file": "verify torn.jpg obama.jpg",
        "several faces": "verify couple.png biden.jpg",
        "several faces, the largest": "verify couple.png biden.jpg --face largest",
        "several faces, the only": "verify couple.png biden.jpg --face only",
        "several crops": "verify obama.jpg obama3.jpg --augment 3",
        "aligned crops": "verify patterns/person00/0.png patterns/person01/0.png"
        " --aligned arcface-112 --min-quality 0",
        "aligned crops of no quality": "verify patterns/person00/0.png patterns/person01/0.png"
        " --aligned arcface-112",
        "a list": "verify --pairs pairs.tsv",
    },
    "gallery": {
        "enroll": "enroll barack obama.jpg obama2.jpg --audit audit.jsonl",
        "enroll another": "enroll joe biden.jpg --audit audit.jsonl",
        "enroll under a false name": "enroll jim biden.jpg",
        "enroll no face, several faces": "enroll jim wall.png couple.png",
        "enroll a tree": "enroll --tree people",
        "verify a claim": "verify obama3.jpg --claim barack",
        "verify a false claim, against the mean": "verify biden.jpg --claim barack --fusion mean",
        "verify a list of claims": "verify --claims claims.tsv",
        "identify": "identify obama3.jpg",
        "identify several": "identify couple.png wall.png --face all --fusion mean",
        "identify at a threshold": "identify obama.jpg --threshold 0.00001 --top 1",
        "list": "gallery list",
        "show": "gallery show barack",
        "stats": "gallery stats",
        "check": "gallery verify",
        "dedupe": "gallery dedupe --threshold 1",
        "cluster": "gallery cluster people couple.png --face all",
        "fit codes to too few": "gallery fit-codes",
        "rebuild without need": "gallery rebuild",
        "export": "gallery export exported",
        "import": "gallery import exported --gallery other",
        "copy": "gallery copy other third",
        "rename": "gallery rename joe joseph",
        "remove": "gallery remove joseph",
        "remove whom nobody knows": "gallery remove joe",
        "compact": "gallery compact",
        "list what is left": "gallery list",
        "check the audit log": "gallery audit verify audit.jsonl",
    },
    "photos": {
        "detect": "detect obama.jpg couple.png wall.png torn.jpg",
        "detect the face in the middle": "detect couple.png --face center",
        "align": "align people crops",
        "align again": "align people crops",
        "align to a box": "align people boxes --alignment facenet-160 --size 80 --format jpg",
        "embed what has no face": "embed torn.jpg wall.png",
        "embed into a file": "embed people couple.png --out templates.npz",
    },
    "evaluate": {
        "pairs of photos": "evaluate pairs.csv --images people --group group --replicates 50",
        "all photos": "evaluate people --replicates 50",
        "retrieval": "evaluate patterns --aligned arcface-112 --protocol retrieval",
        "nearest neighbours": "evaluate patterns --aligned arcface-112 --protocol knn --k 3",
        "linear classifier": "evaluate patterns --aligned arcface-112 --protocol linear",
        "few-shot": "evaluate patterns --aligned arcface-112 --protocol few-shot --queries 2"
        " --shots 1 --shots 2 --episodes 50",
        "calibrate": "calibrate --images patterns --aligned arcface-112 --fmr 0.1 --dry-run"
        " --replicates 50",
        "calibrate to a rate that the data cannot tell": "calibrate --images people --dry-run",
    },
    "evaluate_embeddings": {
        "10 folds": "evaluate rows.csv --embeddings rows.npz --replicates 50 --compat facenet",
        "10 folds, Manhattan distance": "evaluate rows.csv --embeddings rows.npz --replicates 50"
        " --distance manhattan",
        "fixed": "evaluate rows.csv --embeddings rows.npz --protocol fixed --threshold 0.3"
        " --group group --replicates 0",
        "templates": "evaluate template_pairs.txt --embeddings features.npy --media media.txt"
        " --threshold 0.3 --replicates 50 --gallery gallery.csv --probes probes.csv",
    },
    "data": {
        "inspect pairs": "data inspect pairs.csv",
        "inspect people": "data inspect patterns",
        "convert to shards": "data convert patterns shards --to webdataset --shard-size 20",
        "convert to records": "data convert shards records --to recordio",
        "convert to a pack": "data convert people pack.bin --to pack --pairs pairs.csv"
        " --align arcface-112",
        "inspect shards": "data inspect shards",
        "inspect records": "data inspect records",
        "inspect a pack": "data inspect pack.bin",
        "split": "data split patterns parts --fraction 0.25",
        "convert a part": "data convert records part --to folders --only parts/held-out.txt",
        "inspect a part": "data inspect part",
        "check": "data check people --sample 0 --least-side 700 --alignment none"
        " --against pairs.csv --images people",
    },
    "weights": {
        "list": "weights list",
        "list what can be downloaded": "weights list --available",
        "show": "weights show default",
        "doctor": "doctor",
        "recipes": "train --recipes",
    },
}
VOLATILE = {
    "gallery": {"time", "bytes", "bytes_before", "head"},
    "data": {"smallest image, bytes", "largest, bytes"},
    "weights": {
        "versions", "optional", "platform", "providers", "processors", "load", "detect", "embed",
    },
}  # fmt: skip
CROPS = [
    f"{folder}/{photo}.{kind}"
    for folder, kind in (("crops", "png"), ("boxes", "jpg"))
    for photo in ("barack/obama", "barack/obama2", "joe/biden")
]
# What comes from photographs depends on the release of the decoder (test_embeddings.py). A logistic
# curve through a few generated people far apart is steep: a step of 2^-23 moves it.
PHOTOGRAPHS = {
    "box": 1e-3, "points": 1e-3, "measured": 1e-3, "crops": 1e-3, "slope": 0.05, "intercept": 0.05,
    "": 1e-3,
}  # fmt: skip
READY = {"": 1e-5}


def mean_colour(path: str) -> list[float]:
    """Width, height, and the mean red, green and blue of an image."""
    image = Image.open(path)
    return [*image.size, *ImageStat.Stat(image).mean]


@pytest.mark.thorough(but=("verify", "data", "weights", "evaluate_embeddings"))
@pytest.mark.parametrize("group", COMMANDS)
def test_commands_say_what_was_written_down(run, place, golden, group):
    Path("pairs.tsv").write_text(
        "obama.jpg\tobama2.jpg\nobama.jpg\tbiden.jpg\nwall.png\tobama.jpg\n"
    )
    Path("claims.tsv").write_text("obama3.jpg\tbarack\nbiden.jpg\tbarack\nobama.jpg\tnobody\n")
    paths = {str(place): "PLACE", str(bundled_folder()): "WEIGHTS"}
    found = {}
    for what, line in COMMANDS[group].items():
        ran = run(*shlex.split(line), "--json")
        said = {"status": ran.status, "objects": ran.objects}
        found[what] = stable(said, paths, VOLATILE.get(group, ()))
    if group == "photos":
        found["crops"] = {crop: mean_colour(crop) for crop in CROPS}
    golden(group, found, READY if group == "evaluate_embeddings" else PHOTOGRAPHS)
