"""Folder of a run: its files, and the lock that keeps other processes out.

::

    runs/NAME/
      config.toml        the whole configuration; repeats the run
      crops/             faces cut out of the photos, with --align
      metrics.jsonl      one line every few steps, one for each validation
      checkpoints/       states to resume from (checkpoint/checkpoint.py)
      model.onnx         the exported model
      text.onnx          its text encoder, of a method that learns from captions
      report.html        results and curves
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from faceverify.embeddings.cache import cache_folder
from faceverify.errors import OutputError, TrainingError, UsageError
from faceverify.models.text_model import FILE_NAME
from faceverify.runtime.files import atomic_write
from faceverify.training.config.checked import config_from_dict
from faceverify.training.config.fields import config_error
from faceverify.training.config.files import as_dict, read_toml, to_toml
from faceverify.training.config.schema import Config


class RunFolder:
    """The paths of a run.

    Args:
        path: of the folder; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.toml"
        self.metrics = path / "metrics.jsonl"
        self.crops = path / "crops"
        self.checkpoints = path / "checkpoints"
        self.model = path / "model.onnx"
        self.text_model = path / FILE_NAME
        self.report = path / "report.html"
        self.events = path / "tensorboard"

    def read_config(self) -> Config:
        """Read the configuration that the run began with.

        Raises:
            TrainingError: there is no such run, or its configuration is invalid.
        """
        if not self.config.is_file():
            raise TrainingError(
                f"{self.path}: no run to resume", cure="start it without --resume first"
            )
        return config_from_dict(read_toml(self.config))

    def write_config(self, config: Config) -> None:
        """Write the configuration; the folder is created if it is missing.

        Raises:
            OutputError: it cannot be written.
        """
        self._make()
        try:
            text = to_toml(as_dict(config)).encode()
        except UnicodeEncodeError as error:
            raise TrainingError(
                f"{self.config}: a path of the configuration is no text",
                cure="rename that folder",
                code="training-config",
            ) from error
        atomic_write(self.config, text)

    def refuse_if_begun(self) -> None:
        """Refuse to start a run in a folder that has one.

        Raises:
            TrainingError: there is one.
        """
        if self.config.exists() or self.checkpoints.exists():
            raise TrainingError(
                f"{self.path}: a run with this name has begun",
                cure="go on with --resume, or give another --name",
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder against other processes inside the block; it is created if missing.

        Raises:
            TrainingError: another process trains in it.
            OutputError: the folder cannot be created.
        """
        self._make()
        try:
            import fcntl
        except ImportError:  # no such locks on Windows
            yield
            return
        handle = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise TrainingError(
                    f"{self.path}: another process trains in this run",
                    cure="wait for it, or give another --name",
                ) from None
            yield
        finally:
            os.close(handle)

    def _make(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be made ({error.strerror})") from error


def training_cache() -> Path:
    """Folder of decoded crops, shared by all runs."""
    with suppress(UsageError):  # no home folder
        return cache_folder() / "training"
    raise config_error("no folder for decoded crops", "set FACEVERIFY_CACHE")
