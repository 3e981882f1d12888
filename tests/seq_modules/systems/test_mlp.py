"""MLPClassifier: its loss, its inputs, its predictions, what it refuses, one batch learnt by heart."""

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.trainers import quiet_trainer

from datamodules import TabularDataModule
from datamodules.tabular.shapes import ShapeConfig
from seq_modules import MLPClassifier
from seq_modules.nets.mlp.styles import STYLES


def make(**settings: Any) -> MLPClassifier:
    torch.manual_seed(0)
    return MLPClassifier(["x", "y"], ["in", "out", "far"], **settings)


def batch() -> dict[str, torch.Tensor]:
    features = torch.tensor([[0.0, 1.0], [2.0, -1.0], [0.5, 0.5]])
    return {"features": features, "labels": torch.tensor([0, 2, 1]), "index": torch.tensor([4, 7, 5])}


@pytest.mark.parametrize("style", STYLES)
def test_loss_is_the_negative_log_likelihood_of_the_rows(style: str) -> None:
    module = make(style=style)
    step = module.step(batch())
    probabilities = module(batch()["features"]).softmax(1)
    expected = -sum(probabilities[i, c].log().item() for i, c in enumerate([0, 2, 1]))
    assert step.loss_sum.item() == pytest.approx(expected, rel=1e-5)
    assert step.num_targets == 3


def test_inputs_are_standardised_by_the_training_rows_alone(tmp_path: Path) -> None:
    data = TabularDataModule(points=ShapeConfig(size=50), batch_size=10)
    module = MLPClassifier(data.feature_names, data.class_names)
    quiet_trainer(tmp_path, max_steps=1, limit_val_batches=0).fit(module, data)
    features, _ = data.points("train")
    assert len(features) == 32
    torch.testing.assert_close(module.mean, features.mean(0))
    torch.testing.assert_close(module.scale, features.std(0, correction=0))
    torch.testing.assert_close(module(features), module.net((features - features.mean(0)) / module.scale))
    names = module.state_dict().keys()
    assert {"mean", "scale"} <= names  # a checkpoint has them


@pytest.mark.parametrize("style", STYLES)
def test_one_batch_is_learnt_by_heart(style: str) -> None:
    module = make(style=style, net={"hidden_sizes": [8], "activation": "tanh"})
    optimizer = module.make_optimizer()
    for _ in range(150):
        optimizer.zero_grad()
        loss = module.step(batch()).loss_sum
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


def test_without_hidden_layers_it_is_logistic_regression() -> None:
    for style in STYLES:
        module = make(style=style, net={"hidden_sizes": []})
        weight, bias = module.parameters()
        torch.testing.assert_close(module(batch()["features"]), batch()["features"] @ weight.T + bias)


def test_prediction_rows() -> None:
    module = make().eval()
    rows = module.predict_step(batch(), 0)
    probabilities = module(batch()["features"]).softmax(1)
    for row, index, features, p in zip(rows, [4, 7, 5], batch()["features"].tolist(), probabilities, strict=True):
        assert row["index"] == index
        assert [row["x"], row["y"]] == features
        assert row["label"] == ["in", "out", "far"][int(p.argmax())]
        assert row["probability"] == pytest.approx(p.max().item(), abs=1e-6)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"style": "jax"}, "style must be one of 'numpy', 'parameters', 'sequential', 'module'"),
        ({"style": "numpy", "optim": {"optimizer": "adamw"}}, "style numpy has SGD alone; with optim.optimizer adamw"),
        ({"optim": {"optimizer": "muon"}}, "optim.optimizer muon needs"),
        ({"net": {"hidden_sizes": [4, 0]}}, r"MLPConfig.hidden_sizes must be widths of at least 1, not \[4, 0\]"),
        ({"net": {"activation": "sine"}}, "MLPConfig.activation must be one of"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make(**settings)


def test_names_are_needed() -> None:
    with pytest.raises(ValueError, match="class_names must be at least two"):
        MLPClassifier(["x"], ["only"])
    with pytest.raises(ValueError, match="feature_names is not given, and no data is there"):
        MLPClassifier()


@pytest.mark.parametrize("style", ["numpy", "sequential"])
def test_a_training_resumes_to_the_bit(tmp_path: Path, style: str) -> None:
    def fit(epochs: int, checkpoint: Path | None = None) -> tuple[MLPClassifier, Any]:
        torch.manual_seed(0)
        data = TabularDataModule(points=ShapeConfig("moons", 40), batch_size=8, seed=0)
        module = MLPClassifier(data.feature_names, data.class_names, style, {"hidden_sizes": [4]})
        trainer = quiet_trainer(tmp_path, max_epochs=epochs, limit_val_batches=0)
        trainer.fit(module, data, ckpt_path=None if checkpoint is None else str(checkpoint), weights_only=True)
        return module, trainer

    _, half = fit(2)
    half.save_checkpoint(tmp_path / "half.ckpt")
    whole, resumed = fit(4)[0], fit(4, tmp_path / "half.ckpt")[0]
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)
