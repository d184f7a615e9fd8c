"""Functions for worker processes, which import them from here: they travel by their names."""

import os
import signal
import time

from faceverify.errors import NoFaceError


def squares(made):
    """Makes the function, and notes that it did."""
    with open(made, "a") as notes:
        notes.write("made\n")
    return square


def square(number):
    """The square, from the process that it tells; 41 has none."""
    if number == 41:
        raise NoFaceError("41: no face", code="no-face-at-all")
    time.sleep(0.001 * (number % 3))
    return number * number, os.getpid()


def dying():
    """Makes a function that kills its worker at 20."""

    def die(number):
        if number == 20:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    return die
