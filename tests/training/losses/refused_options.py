"""Options that cannot be, and how they are refused."""

import pytest

from faceverify.errors import TrainingError
from faceverify.training.losses import build_head


def check_refused(name, options, words):
    """An option that cannot be is one line that says what would do."""
    with pytest.raises(TrainingError) as refused:
        build_head(name, embedding_size=6, classes=11, **options)
    assert refused.value.code == "training-config"
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
