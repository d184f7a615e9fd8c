"""The cascade beside facenet-pytorch's own, where that is installed."""

import numpy as np
import pytest
from PIL import Image

from faceverify.faces.detection import Detector

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def reference():
    facenet_pytorch = pytest.importorskip(
        "facenet_pytorch", reason="needs facenet-pytorch (the train extra)"
    )
    return facenet_pytorch.MTCNN(keep_all=True, min_face_size=20)


@pytest.mark.filterwarnings("ignore")
def test_same_faces_and_points_on_lfw(detector: Detector, reference, shared_data):
    photos = sorted((shared_data / "lfw").glob("*/*.jpg"))[::150]
    differences, faces = [], 0
    for path in photos:
        image = Image.open(path).convert("RGB")
        boxes, _, points = reference.detect(image, landmarks=True)
        ours = detector.detect(image, min_face=20)
        assert len(ours) == (0 if boxes is None else len(boxes)), path
        for expected in () if boxes is None else np.asarray(points, float):
            faces += 1
            differences.append(min(np.abs(face.points - expected).max() for face in ours))
    assert faces > 50
    assert np.median(differences) < 0.01
    assert np.mean(np.array(differences) < 0.5) > 0.95
