"""Embeddings of the free photographs, and of crops that no decoder of JPEG has touched."""

from photographs import FACES

# The releases 3.1 and 3.2 of libjpeg-turbo decode two of the photographs differently: boxes and
# points then differ by up to 2e-4 of their coordinates, embeddings by up to 1.6e-3. Between engines
# on AVX-512, AVX2 and SSE 4.2 it is 1e-6 and 6e-5.
PHOTOGRAPHS = {"box": 1e-3, "points": 1e-3, "quality": 1e-3, "embedding": 4e-3}
# Of the crops all decoders give the same pixels.
CROPS = {"": 1e-5, "embedding": 2e-5}


def bundled(run):
    models = [one["name"] for one in run("weights", "list", "--json").objects if one["bundled"]]
    assert models
    return models


def test_embeddings_of_the_photographs(run, place, golden):
    photos = sorted(path.name for path in FACES.glob("*.jpg"))
    found = {model: run("embed", "--model", model, *photos).objects for model in bundled(run)}
    golden("embeddings", found, PHOTOGRAPHS)


def test_embeddings_of_crops(run, place, golden):
    crops = [f"patterns/person0{person}/0.png" for person in range(3)]
    command = ("embed", "--aligned", "arcface-112", *crops, "--model")
    found = {model: run(*command, model).objects for model in bundled(run)}
    golden("embeddings_of_crops", found, CROPS)
