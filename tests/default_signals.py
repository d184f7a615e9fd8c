"""A child whose signals are those of a command typed at a terminal, whatever the tests inherited.

A shell has background jobs ignore SIGINT, nohup has its command ignore SIGHUP, and a parent may
have blocked any signal; a child inherits all of that. It is changed by a process that then becomes
the command: a ``preexec_fn`` runs between fork and exec, which is unsafe beside other threads.
"""

import sys
from collections.abc import Iterable, Sequence

PROGRAM = """
import os, signal, sys
ignored, blocked = ([getattr(signal, name) for name in text.split()] for text in sys.argv[1:3])
# the last two are ignored by Python itself, which a child would inherit
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
    signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
os.execv(sys.argv[3], sys.argv[3:])
"""


def with_signals(
    command: Sequence[str], *, ignored: Iterable[str] = (), blocked: Iterable[str] = ()
) -> list[str]:
    """The command line that starts a command with these signals ignored or blocked, and no others.

    Args:
        command: the path of a program, and its arguments.
        ignored: names such as "SIGINT".
        blocked: the same.
    """
    names = (" ".join(ignored), " ".join(blocked))
    return [sys.executable, "-I", "-S", "-c", PROGRAM, *names, *command]
