"""The text model of a run has the weights of the checkpoint that the model's come from."""

from types import SimpleNamespace

import numpy as np
import torch
from tiny_runs import CAPTIONS, config_of, learn, state_of

from faceverify.models.text_model import TextEmbedder, load_text_model
from faceverify.training.run.folder import RunFolder
from faceverify.training.run.publish import make_text_model


def test_it_is_of_the_same_checkpoint(tmp_path):
    run, config = RunFolder(tmp_path), config_of("clip")
    state = state_of(config)
    learn(state, config, 2, folder=run.checkpoints)
    with torch.no_grad():
        wanted = torch.nn.functional.normalize(state.method.text(state.method.tokens.long()), dim=1)
    learn(state, config, 6)
    data = SimpleNamespace(captions=CAPTIONS)
    make_text_model(run, state.method, data, "step-00000002", "f" * 16)
    model = load_text_model(run.text_model)
    found = TextEmbedder(model, "it").embed([one for own in CAPTIONS for one in own])
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)
    assert model.model_id == "f" * 16
