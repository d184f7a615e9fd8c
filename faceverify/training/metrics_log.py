"""What a run says of itself: lines of ``metrics.jsonl``, TensorBoard, a line on a terminal."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from faceverify.errors import OutputError, TrainingError
from faceverify.runtime.files import atomic_write
from faceverify.runtime.json_lines import json_line

Values = Mapping[str, Any]


class MetricsLog:
    """The lines of a run; the file is flushed after each, so that it can be watched.

    Args:
        path: of ``metrics.jsonl``; None to write none.
        step: that the run goes on from: lines after it belong to steps that will come again, and
            are dropped.
        events: folder of TensorBoard's event files; None for none.
        show: told each line as text; None to be silent.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        step: int = 0,
        events: Path | None = None,
        show: Callable[[Values], None] | None = None,
    ) -> None:
        self._show = show
        self._path = path
        self._stream = None
        if path is not None:
            atomic_write(path, "".join(_lines_until(path, step)).encode())
            self._stream = path.open("a", encoding="utf-8")
        self._events = None if events is None else _event_writer(events, step)

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._stream is not None:
            self._stream.close()
        if self._events is not None:
            self._events.close()

    def add(self, values: Values) -> None:
        """Write one line; it holds ``step``, and whatever else.

        Raises:
            OutputError: the file cannot be written.
        """
        if self._stream is not None:
            try:
                self._stream.write(json_line(values) + "\n")
                self._stream.flush()
            except OSError as error:
                raise OutputError(f"{self._path}: cannot be written ({error.strerror})") from error
        if self._events is not None:
            for name, value in values.items():
                if isinstance(value, int | float) and name not in ("step", "epoch"):
                    self._events.add_scalar(name, value, values["step"])
        if self._show is not None:
            self._show(values)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a run so far; an unfinished last line is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _lines_until(path: Path, step: int) -> list[str]:
    return [json_line(one) + "\n" for one in read_metrics(path) if one.get("step", 0) <= step]


def _event_writer(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise TrainingError(
            "log.tensorboard: the tensorboard package is missing",
            cure="install faceverify[train], or set it to false",
            code="training-config",
        ) from error
    return SummaryWriter(str(folder), purge_step=step + 1)


class ProgressLine:
    """Progress on stderr: a line that is written over on a terminal, lines elsewhere.

    Args:
        steps: of the whole run.
        done: those done before this start.
    """

    def __init__(self, steps: int, done: int = 0) -> None:
        self._steps, self._done = steps, done
        self._began = time.monotonic()
        self._accuracy: float | None = None
        self._live = sys.stderr.isatty()
        self._shown = False

    def __call__(self, values: Values) -> None:
        """Show a line of the metrics."""
        if "accuracy" in values:
            self._accuracy = values["accuracy"]
        if "loss" not in values:
            return
        text = self._text(values)
        end = "" if self._live else "\n"
        print(f"\r\x1b[K{text}" if self._live else text, end=end, file=sys.stderr, flush=True)
        self._shown = True

    def finish(self) -> None:
        """Leave the line, so that what comes next stands on its own."""
        if self._live and self._shown:
            print(file=sys.stderr)

    def _text(self, values: Values) -> str:
        step = values["step"]
        passed = time.monotonic() - self._began
        left = passed / max(step - self._done, 1) * (self._steps - step)
        parts = [
            f"epoch {values['epoch']:.2f}",
            f"step {step}/{self._steps}",
            f"loss {values['loss']:.4f}",
            f"learning rate {values['learning_rate']:.2e}",
            f"{values['images_per_second']:.0f} images/s",
            f"{clock(left)} left",
        ]
        if self._accuracy is not None:
            parts.append(f"verified {100 * self._accuracy:.2f} %")
        return "  ".join(parts)


def clock(seconds: float) -> str:
    """A time as hours, minutes and seconds.

    >>> clock(75), clock(3671)
    ('1:15', '1:01:11')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
