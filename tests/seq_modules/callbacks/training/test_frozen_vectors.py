"""A frozen encoder's vectors are kept where they can be, and training goes on where they cannot."""

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers.systems import MODULES

from seq_modules.callbacks.training.frozen_vectors import FrozenVectors
from seq_modules.nets.pretrained.encoder import PretrainedEncoder, PretrainedEncoderConfig
from seq_modules.training.optim import OptimConfig

IDS = torch.tensor([[2, 5, 3], [2, 3, 0]])


@pytest.fixture
def encoder() -> PretrainedEncoder:
    module: Any = MODULES["pretrained classifier"](OptimConfig())
    return PretrainedEncoder(module.encoder.model, PretrainedEncoderConfig(tuning="frozen", dropout=0.0))


def trainer(folder: Path) -> Any:
    """What the callback asks a trainer."""
    return SimpleNamespace(datamodule=SimpleNamespace(cache=folder), precision="32-true")


def test_vectors_are_kept_for_the_next_command(
    encoder: PretrainedEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    callback, module = FrozenVectors(encoder), SimpleNamespace(device_mesh=None)
    callback.on_fit_start(trainer(tmp_path), module)  # type: ignore[arg-type]
    made = encoder(IDS, IDS != 0)
    callback.on_train_end(trainer(tmp_path), module)  # type: ignore[arg-type]
    assert len(list(tmp_path.glob("vectors/*.safetensors"))) == 1
    before = copy.deepcopy(encoder.model.state_dict())
    with torch.no_grad():
        encoder.model.embeddings.LayerNorm.bias.add_(torch.randn(16))
    callback.on_test_start(trainer(tmp_path), module)  # type: ignore[arg-type]
    assert not torch.equal(encoder(IDS, IDS != 0), made)  # of other weights
    encoder.model.load_state_dict(before)
    callback.on_predict_start(trainer(tmp_path), module)  # type: ignore[arg-type]
    monkeypatch.setattr(encoder, "states", lambda *_: pytest.fail("the texts were read again"))
    assert torch.equal(encoder(IDS, IDS != 0), made)


def test_divided_weights_have_no_vectors_kept(encoder: PretrainedEncoder, tmp_path: Path) -> None:
    callback = FrozenVectors(encoder)
    callback.on_fit_start(trainer(tmp_path), SimpleNamespace(device_mesh=object()))  # type: ignore[arg-type]
    assert encoder.cache is None
    assert encoder(IDS, IDS != 0).shape == (2, encoder.width)
    callback.on_train_end(trainer(tmp_path), SimpleNamespace(device_mesh=object()))  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_ends_nothing(
    encoder: PretrainedEncoder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "vectors").write_text("")
    callback = FrozenVectors(encoder)
    callback.on_fit_start(trainer(tmp_path), SimpleNamespace(device_mesh=None))  # type: ignore[arg-type]
    encoder(IDS, IDS != 0)
    with caplog.at_level("INFO"):
        callback.on_train_epoch_end(trainer(tmp_path), SimpleNamespace(device_mesh=None))  # type: ignore[arg-type]
    assert "are not kept" in caplog.text
