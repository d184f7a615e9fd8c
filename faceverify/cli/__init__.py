"""The command line: ``faceverify COMMAND``, one file a command.

Exit status: 0 done, or the same person; 1 different people; 2 wrong usage, unusable input, or a
result that cannot be written; 3 no decision; 70 a fault of this program; 129 the terminal was
closed; 130 interrupted; 141 the reader of stdout went away; 143 terminated.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from faceverify.cli.exit import end_on_signals, leave, words_of
from faceverify.errors import (
    INTERNAL_ERROR,
    INTERRUPTED,
    UNUSABLE,
    FaceverifyError,
    OutputError,
    without_secrets,
)
from faceverify.runtime.standard_streams import (
    discard_output,
    occupy_closed_streams,
    print_message,
    watched_output,
)

OUTPUT_CLOSED = 141  # as the shell reports a process that SIGPIPE ended


def main() -> NoReturn:
    """Run a command and leave with its exit status; no error of the input shows a traceback."""
    ending = end_on_signals()
    # Threads of numpy's BLAS sleep as soon as they have nothing to do (2^4 cycles; the library's
    # own 2^28 are spent at every start, beside the imports).
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
    is_open = occupy_closed_streams()
    with watched_output() as output:
        try:
            if not is_open:
                raise OutputError(
                    "standard output is closed", cure="send it to /dev/null where it is not wanted"
                )
            from faceverify.cli.app import build_app  # here, so that Ctrl-C shows no traceback

            status = build_app(*sys.argv[1:2])(standalone_mode=False) or 0
            sys.stdout.flush()
            if status == INTERRUPTED:  # newer parsers take Ctrl-C for themselves
                status = ending.status or status
        except BaseException as error:
            status = ending.status or status_of(error, output.failure)
    if words := words_of(status):
        error_line(words)
    leave(status)


def status_of(error: BaseException, unwritten: OSError | None = None) -> int:
    """The exit status after an error, which is reported in one line.

    Args:
        error: what ended the command.
        unwritten: why standard output could not be written, if so.
    """
    if isinstance(error, FaceverifyError):
        error_line(str(error))
        return error.exit_status
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Abort":
        return INTERRUPTED  # Abort: the parser's word for Ctrl-C
    if isinstance(error, BrokenPipeError):
        return closed_output()
    if unwritten is not None and isinstance(error, OSError):
        discard_output()
        error_line(
            f"standard output: cannot be written ({unwritten.strerror}); what was done stays done"
        )
        return UNUSABLE
    if isinstance(error, SystemExit):
        if isinstance(error.__context__, BrokenPipeError):  # so the parser leaves, with 1
            return closed_output()
        raise error
    if hasattr(error, "show") and hasattr(error, "exit_code"):  # the parser's own exceptions
        error.message = without_secrets(error.message)  # type: ignore[attr-defined]
        error.show()
        return UNUSABLE
    if os.environ.get("FACEVERIFY_TRACEBACK"):
        raise error
    error_line(
        f"internal error: {type(error).__name__}: {error}; please report it, with the traceback "
        "that FACEVERIFY_TRACEBACK=1 shows"
    )
    return INTERNAL_ERROR


def closed_output() -> int:
    """Take what is still to be flushed to a reader that went away; return the exit status."""
    discard_output()
    return OUTPUT_CLOSED


def error_line(text: str) -> None:
    """Print an error's one line to stderr; where that is closed, the exit status says enough."""
    print_message(f"faceverify: {without_secrets(text)}")
