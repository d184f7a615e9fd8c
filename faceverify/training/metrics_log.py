"""Metrics of a run: ``metrics.jsonl``, TensorBoard events, a progress line on the terminal."""

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
from faceverify.runtime.standard_streams import print_message

Values = Mapping[str, Any]


class MetricsLog:
    """Writer of a run's metrics; the file is flushed after each line, so that it can be followed.

    Args:
        path: of ``metrics.jsonl``; None to write no file.
        step: at which the run starts or resumes: later lines are of steps that are repeated, and
            are removed.
        events: folder of TensorBoard event files; None for none.
        show: called with each line; None for no display.
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
        """Write one line: ``step`` and any other values.

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
    """Lines written so far; an incomplete last line is left out."""
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
    """Training progress on stderr: one line, overwritten, on a terminal; else a line at a time.

    Args:
        steps: of the whole run.
        done: steps before this start.
    """

    def __init__(self, steps: int, done: int = 0) -> None:
        self._steps, self._done = steps, done
        self._began = time.monotonic()
        self._accuracy: float | None = None
        self._nearest: float | None = None
        self._live = sys.stderr.isatty()
        self._shown = False

    def __call__(self, values: Values) -> None:
        """Show a line of the metrics."""
        if "accuracy" in values:
            self._accuracy = values["accuracy"]
        if "nearest" in values:
            self._nearest = values["nearest"]
        if "loss" not in values:
            return
        text = self._text(values)
        end = "" if self._live else "\n"
        print_message(f"\r\x1b[K{text}" if self._live else text, end=end)
        self._shown = True

    def finish(self) -> None:
        """End the line, so that further output starts on a new one."""
        if self._live and self._shown:
            print_message("")

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
        for name, words in (("spread", "spread {:.2f}"), ("effective_rank", "rank {:.1f}")):
            if name in values:
                parts.append(words.format(values[name]))
        if self._nearest is not None:
            parts.append(f"nearest {100 * self._nearest:.1f} %")
        if self._accuracy is not None:
            parts.append(f"verified {100 * self._accuracy:.2f} %")
        return "  ".join(parts)


def clock(seconds: float) -> str:
    """Format a duration as hours, minutes and seconds.

    >>> clock(75), clock(3671)
    ('1:15', '1:01:11')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
