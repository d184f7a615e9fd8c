"""The losses with class centres, with the options under which their tests, and all laws, run.

Each loss's own test names its cases: ``CASES`` of test_NAME.py, where NAME.py is the loss.
"""

import importlib

import centre_losses
import torch

from faceverify.training.losses import HEADS, head_options

CENTRE_LOSSES = [name for name in HEADS if "engine" in head_options(name)]
PAIR_LOSSES = [name for name in HEADS if name not in CENTRE_LOSSES]


def module_of_test(name):
    """The test of a loss."""
    return importlib.import_module(f"test_{HEADS[name].__module__.rpartition('.')[2]}")


CASES = {}
for name in CENTRE_LOSSES:
    CASES |= module_of_test(name).CASES


def build_case(case, classes=centre_losses.CLASSES, dtype=torch.float64, **more):
    """The loss of a case."""
    name, options = CASES[case]
    return centre_losses.build(name, options, classes=classes, dtype=dtype, **more)
