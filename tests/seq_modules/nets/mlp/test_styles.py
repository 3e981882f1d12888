"""The four styles of the perceptron compute the same, forward, back and through training."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.trainers import quiet_trainer
from torch import Tensor, nn

from datamodules import TabularDataModule
from datamodules.tabular.shapes import ShapeConfig
from seq_modules import MLPClassifier
from seq_modules.nets.mlp.numpy_bridge import NumpyMLP, cross_entropy_sum
from seq_modules.nets.mlp.styles import STYLES
from seq_modules.reference import numpy_mlp

ACTIVATIONS = ("tanh", "relu", "sigmoid")
SIZES = [3, 5, 4, 2]


@pytest.fixture(autouse=True)
def _in_float64() -> Any:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def net(style: Any, activation: Any = "tanh", seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return STYLES[style](SIZES, activation)


def rows(count: int = 7) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    return torch.randn(count, SIZES[0], generator=draw), torch.randint(SIZES[-1], (count,), generator=draw)


@pytest.mark.parametrize("style", STYLES)
def test_one_seed_gives_all_styles_the_weights_of_linear_layers(style: Any) -> None:
    torch.manual_seed(0)
    layers = [nn.Linear(a, b) for a, b in pairwise(SIZES)]
    expected = [weight for layer in layers for weight in (layer.weight, layer.bias)]
    for weight, other in zip(net(style).parameters(), expected, strict=True):
        torch.testing.assert_close(weight, other, rtol=0, atol=1e-15)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("style", ["numpy", "parameters", "module"])
def test_logits_and_gradients_equal_those_of_sequential(style: Any, activation: str) -> None:
    x, labels = rows()
    results = []
    for one in (net(style, activation), net("sequential", activation)):
        inputs = x.clone().requires_grad_()
        logits = one(inputs)
        nn.functional.cross_entropy(logits, labels).backward()
        results.append([logits, inputs.grad, *(weight.grad for weight in one.parameters())])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-14)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_numpy_gradients_equal_finite_differences(activation: Any) -> None:
    x, labels = rows(3)
    model = NumpyMLP(SIZES, activation)
    assert torch.autograd.gradcheck(lambda x, *_: model(x), (x.requires_grad_(), *model.weights))
    assert torch.autograd.gradcheck(
        lambda logits: cross_entropy_sum(logits, labels), (torch.randn(3, 2).requires_grad_(),)
    )


def test_numpy_cross_entropy_survives_large_logits() -> None:
    logits, labels = torch.tensor([[1000.0, 0.0], [0.0, -1000.0]]), torch.tensor([1, 0])
    torch.testing.assert_close(cross_entropy_sum(logits, labels), torch.tensor(1000.0))


def batches(steps: int) -> list[dict[str, Tensor]]:
    draw = torch.Generator().manual_seed(2)
    x = torch.randn(steps, 8, 3, generator=draw)
    return [{"features": row, "labels": (row.square().sum(1) > 2).long()} for row in x]


@pytest.mark.parametrize(("activation", "momentum"), [("tanh", 0.0), ("relu", 0.9), ("sigmoid", 0.9)])
def test_all_styles_agree_after_a_hundred_steps(activation: str, momentum: float) -> None:
    trained, started = {}, None
    for style in STYLES:
        torch.manual_seed(0)
        module = MLPClassifier(
            ["a", "b", "c"],
            ["no", "yes"],
            style,
            {"hidden_sizes": [5, 4], "activation": activation},
            {"learning_rate": 0.1, "optimizer": "sgd", "momentum": momentum, "weight_decay": 0.01},
        )
        weights = list(module.parameters())
        started = started or [weight.detach().clone() for weight in weights]
        with torch.no_grad():
            for weight, first in zip(weights, started, strict=True):
                weight.copy_(first)
        optimizer = module.make_optimizer()
        for batch in batches(100):
            optimizer.zero_grad()
            step = module.step(batch)
            (step.loss_sum / step.num_targets).backward()
            optimizer.step()
        trained[style] = weights
    for style in ("numpy", "parameters", "sequential"):
        for a, b, first in zip(trained[style], trained["module"], started, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-10)
            assert not torch.equal(a, first)  # it did move


def test_all_styles_agree_after_a_hundred_steps_of_the_trainer(tmp_path: Path) -> None:
    trained = {}
    for style in STYLES:
        torch.manual_seed(0)
        data = TabularDataModule(points=ShapeConfig(size=100), batch_size=16, seed=3)
        module = MLPClassifier(data.feature_names, data.class_names, style, {"hidden_sizes": [6]})
        settings = {"max_steps": 100, "max_epochs": -1, "precision": "64-true", "gradient_clip_val": 1.0}
        trainer = quiet_trainer(tmp_path, limit_val_batches=0, **settings)
        trainer.fit(module, data)
        assert trainer.global_step == 100
        trained[style] = [weight.detach() for weight in module.parameters()]
    for style in ("numpy", "parameters", "sequential"):
        for a, b in zip(trained[style], trained["module"], strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


def test_a_training_in_numpy_alone_is_the_same() -> None:
    model = net("sequential")
    weights = [weight.detach().numpy().copy() for weight in model.parameters()]
    velocities = [np.zeros_like(weight) for weight in weights]
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    for batch in batches(20):
        x, labels = batch["features"], batch["labels"]
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), labels, reduction="sum")
        loss.backward()
        optimizer.step()
        logits, inputs = numpy_mlp.forward(x.numpy(), weights, "tanh")
        of_numpy, d_logits = numpy_mlp.cross_entropy(logits, labels.numpy())
        assert of_numpy == pytest.approx(loss.item(), abs=1e-12)
        _, grads = numpy_mlp.backward(d_logits, inputs, weights, "tanh")
        for weight, grad, velocity in zip(weights, grads, velocities, strict=True):
            numpy_mlp.sgd_update(weight, grad, velocity, 0.1, 0.9)
    for weight, other in zip(model.parameters(), weights, strict=True):
        np.testing.assert_allclose(weight.detach().numpy(), other, rtol=0, atol=1e-12)
