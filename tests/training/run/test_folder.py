"""The folder of a run."""

import pytest

from faceverify.errors import TrainingError
from faceverify.training.run.folder import RunFolder


def test_two_runs_never_write_into_one_folder(tmp_path):
    run, same = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "run")
    refused = pytest.raises(TrainingError, match="another process trains in this run")
    with run.locked(), refused, same.locked():
        raise AssertionError
