"""ParityModule: its loss against plain Python, padding, the hand-set solution, one batch learnt by heart."""

import math

import pytest
import torch
import torch.nn.functional as F

from datamodules.bits import RandomBits
from seq_modules import ParityModule
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.training.metrics.means import MeanLoss
from seq_modules.training.metrics.steps import StepAccuracy
from seq_modules.training.optim import OptimConfig


def batch(rows: int = 6, longest: int = 9, seed: int = 0) -> dict[str, torch.Tensor]:
    return RandomBits(rows, 1, longest, seed).__getitems__(range(rows))


@pytest.mark.parametrize("loss", ["bce", "mse"])
@pytest.mark.parametrize("supervision", ["full", "last"])
def test_loss_is_the_sum_over_the_supervised_steps(supervision: str, loss: str) -> None:
    module, data = ParityModule(net={"hidden_size": 3}, supervision=supervision, loss=loss), batch()
    step = module.step(data)
    total, items = 0.0, 0
    for bits, mask, labels in zip(data["input_ids"], data["attention_mask"], data["labels"], strict=True):
        length = int(mask.sum())
        logits, _ = module(bits[None, :length])  # each row by itself, without padding
        for t in range(length) if supervision == "full" else [length - 1]:
            odd = 1 / (1 + math.exp(-logits[0, t].item()))
            target = int(labels[t])
            total += (odd - target) ** 2 if loss == "mse" else -math.log(odd if target else 1 - odd)
            items += 1
    assert step.loss_sum.item() == pytest.approx(total, rel=1e-5)
    assert step.num_targets == items


@pytest.mark.parametrize("supervision", ["full", "last"])
def test_padding_changes_neither_loss_nor_gradient(supervision: str) -> None:
    data = batch()
    wide = {
        name: F.pad(value, (0, 7), value=-100 if name == "labels" else 0)
        for name, value in data.items()
        if name != "index"
    }
    wide["input_ids"][~wide["attention_mask"]] = 1  # whatever stands there
    gradients = []
    for b in (data, wide):
        torch.manual_seed(0)
        module = ParityModule(net={"hidden_size": 3, "num_layers": 2, "bidirectional": True}, supervision=supervision)
        module.step(b).loss_sum.backward()
        gradients.append([p.grad.clone() for p in module.parameters()])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def test_two_units_set_by_hand_solve_parity() -> None:
    """h1 = "at least one of h and x", h2 = "both": the state is h1 and not h2, which is XOR (docs/notes/parity.md)."""
    module = ParityModule(net={"cell": "rnn", "nonlinearity": "sigmoid", "hidden_size": 2, "backend": "bptt"})
    state = {
        "net.weight_ih_l0": [[10.0], [10.0]],  # the bits come as -1 and 1
        "net.weight_hh_l0": [[20.0, -20.0], [20.0, -20.0]],
        "net.bias_ih_l0": [0.0, -20.0],
        "net.bias_hh_l0": [0.0, 0.0],
        "head.weight": [[20.0, -20.0]],
        "head.bias": [-10.0],
    }
    module.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    data = RandomBits(8, 1000, 1000, seed=0).__getitems__(range(8))
    with torch.inference_mode():
        logits, _ = module(data["input_ids"])
    assert torch.equal(logits > 0, data["labels"] > 0)
    assert logits.abs().min() > 5  # sure of it, not by a hair


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("backend", ["bptt", "fused", "numpy"])
def test_one_batch_is_learnt_by_heart(cell: str, backend: str) -> None:
    torch.manual_seed(0)
    module = ParityModule(
        net={"cell": cell, "backend": backend, "hidden_size": 16, "recurrent_init": "orthogonal"}, supervision="full"
    )
    data = RandomBits(8, 4, 10, seed=0).__getitems__(range(8))
    optimizer = torch.optim.Adam(module.parameters(), 1e-2)
    for _ in range(300):
        step = module.step(data)
        optimizer.zero_grad()
        (step.loss_sum / step.num_targets).backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
    assert (step.loss_sum / step.num_targets).item() < 0.05


def test_the_state_carries_over() -> None:
    module, data = ParityModule(net={"hidden_size": 5}), RandomBits(3, 30, 30, seed=0).__getitems__(range(3))
    whole, _ = module(data["input_ids"])
    first, state = module(data["input_ids"][:, :11])
    second, _ = module(data["input_ids"][:, 11:], state=state)
    torch.testing.assert_close(torch.cat((first, second), 1), whole, rtol=0, atol=1e-6)


def test_prediction_rows() -> None:
    rows = ParityModule(net={"hidden_size": 3}).eval().predict_step(batch(), 0)
    for row, bits, mask in zip(rows, batch()["input_ids"], batch()["attention_mask"], strict=True):
        assert row["bits"] == "".join(str(int(b)) for b in bits[mask])
        assert len(row["running_parity"]) == len(row["bits"])
        assert row["parity"] == int(row["running_parity"][-1]) == int(row["probability_odd"] > 0.5)


def test_accuracies_count_by_hand() -> None:
    labels = torch.tensor([[0, 1, -100], [1, 1, 0]])
    logits = torch.tensor([[-1.0, -2.0, 9.0], [3.0, -1.0, -1.0]])
    every, last = StepAccuracy("all"), StepAccuracy("last")
    for metric in (every, last):
        metric.update(logits, labels)
        metric.update(logits[:1], labels[:1])
    assert every.compute() == pytest.approx(4 / 7)  # 3 of 5 steps, then 1 of 2
    assert last.compute() == pytest.approx(1 / 3)
    loss = MeanLoss()
    loss.update(torch.tensor(6.0), torch.tensor(3))
    loss.update(torch.tensor(2.0), torch.tensor(1))
    assert loss.compute() == 2.0


@pytest.mark.parametrize(
    ("group", "wrong"),
    [
        ("net", {"hidden_size": 0}),
        ("net", {"num_layers": 0}),
        ("optim", {"learning_rate": -1.0}),
        ("optim", {"warmup_steps": -1}),
        ("net", {"hidden": 3}),
    ],
)
def test_values_out_of_range(group: str, wrong: dict[str, float]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        ParityModule(**{group: wrong})


def test_groups_are_saved_as_plain_dicts_and_a_group_may_be_given_as_one() -> None:
    module = ParityModule(RecurrentConfig("gru", 5), optim={"learning_rate": 0.5})
    assert module.optim == OptimConfig(0.5)
    assert module.hparams["net"]["cell"] == "gru"
    assert module.hparams["optim"] == {"learning_rate": 0.5}
    again = ParityModule(**module.hparams)
    assert [p.shape for p in again.parameters()] == [p.shape for p in module.parameters()]
