"""The gradient by each state, against gradients by hand; and what the callback leaves."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from conftest import Run
from helpers.commands.runs import newest
from helpers.trainers import quiet_trainer
from lightning.pytorch import Trainer

from datamodules import ParityDataModule
from seq_modules import FormalLanguageModule, MLPClassifier, ParityModule
from seq_modules.base import SequenceModule, Step
from seq_modules.callbacks import GradientFlow
from seq_modules.callbacks.training.gradient_flow import gradient_norms, spectral_radii
from seq_modules.nets.rnn.recurrent import Recurrent, build_recurrent
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.rnn.unrolled import unroll
from seq_modules.nets.symbol_net import SymbolNetConfig
from seq_modules.nets.text.transformer_encoder import TransformerEncoderConfig
from seq_modules.training.optim import OptimConfig
from seqlight.core.errors import UserError


class ReadsLastStates(SequenceModule):
    """Its loss is the sum of the last layer's states after the last steps, of both directions."""

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__({}, OptimConfig())
        self.net = build_recurrent(2, config)

    def step(self, batch: Any) -> Step:
        state = self.net(batch["x"], batch["lengths"])[1]
        h = state[0] if isinstance(state, tuple) else state
        return Step(h[-2:].sum(), torch.tensor(1), {})


BITS = {
    "input_ids": torch.tensor([[0, 1, 1, 0, 1], [1, 1, 0, 0, 0]]),
    "attention_mask": torch.tensor([[True] * 5, [True] * 3 + [False] * 2]),
    "labels": torch.tensor([[0, 1, 0, 0, 1], [1, 0, 0, -100, -100]]),
    "index": torch.arange(2),
}


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("backend", ["loop", "bptt", "fused"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_an_unrolled_net_gives_what_the_net_gives(cell: str, backend: str, bidirectional: bool) -> None:
    torch.manual_seed(0)
    options: dict[str, Any] = {"cell": cell, "hidden_size": 4, "num_layers": 2, "bidirectional": bidirectional}
    net = Recurrent(3, backend=backend, **options).double()
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    for lengths in (None, torch.tensor([5, 3])):
        outputs, state, seen = unroll(net, x, lengths)
        expected, after = net(x, lengths)
        torch.testing.assert_close(outputs, expected)
        torch.testing.assert_close(state, after)
        assert [len(steps) for steps in seen] == [5] * len(net.names)
    if not bidirectional:
        _, again = net(x[:, 2:], None, unroll(net, x[:, :2])[1])
        torch.testing.assert_close(unroll(net, x)[1], again)


def test_norms_of_a_vanilla_net_are_those_by_hand() -> None:
    """dL/dh_T = (p - y) w / count, and dL/dh_t = W_hhᵀ (1 - h²) dL/dh_{t+1} for a loss at the last step alone."""
    torch.manual_seed(0)
    module = ParityModule(RecurrentConfig(cell="rnn", hidden_size=3), supervision="last")
    batch = {name: value[:1] for name, value in BITS.items()}
    w_ih, w_hh, b_ih, b_hh = (weight.detach() for weight in module.net.weights(0))  # type: ignore[operator]
    h, states = torch.zeros(3), []
    for bit in batch["input_ids"][0]:
        h = torch.tanh(w_ih[:, 0] * (2 * bit - 1) + b_ih + w_hh @ h + b_hh)
        states.append(h)
    logit = module.head(h)
    d = ((logit.sigmoid() - batch["labels"][0, -1]) * module.head.weight[0]).detach()
    expected = [d]
    for h in reversed(states[1:]):
        d = w_hh.T @ ((1 - h * h) * d)
        expected.insert(0, d)
    (norms,) = gradient_norms(module, batch).values()
    assert norms == pytest.approx([one.norm().item() for one in expected], rel=1e-5)


@pytest.mark.parametrize("cell", ["rnn", "gru", "mingru", "minlstm", "diagonal", "deltanet"])
def test_norms_are_those_by_a_state_that_is_handed_in(cell: Any) -> None:
    """Given its state after t steps, a net whose loss is at the last step has the total derivative by h_t there."""
    torch.manual_seed(0)
    module = ParityModule(RecurrentConfig(cell=cell, hidden_size=4), supervision="last").double()
    batch = {name: value[:1] for name, value in BITS.items()}
    (norms,) = gradient_norms(module, batch).values()
    assert len(norms) == 5
    x = (2.0 * batch["input_ids"] - 1).double()[..., None]  # (1, 5, 1)
    for t in range(1, 5):
        state = module.net(x[:, :t])[1].detach().requires_grad_()
        logit = module.head(module.net(x[:, t:], None, state)[0][0, -1])
        loss = F.binary_cross_entropy_with_logits(logit, batch["labels"][0, -1:].double())
        (expected,) = torch.autograd.grad(loss, state)
        assert norms[t - 1] == pytest.approx(expected.norm().item(), rel=1e-6)


@pytest.mark.parametrize("cell", ["lstm", "mingru"])
def test_a_direction_that_reads_backwards_is_recorded_in_the_order_of_time(cell: Any) -> None:
    """A loss on the last states: the forward one's gradient is largest at the end, the backward one's at the start."""
    torch.manual_seed(0)
    module = ReadsLastStates(RecurrentConfig(cell=cell, hidden_size=4, num_layers=2, bidirectional=True))
    norms = gradient_norms(module, {"x": torch.randn(3, 6, 2), "lengths": torch.tensor([6, 6, 6])})
    end = ".h" if cell == "lstm" else ""
    forward, backward = norms[f"net.1{end}"], norms[f"net.1.reverse{end}"]
    assert forward == sorted(forward)
    assert backward == sorted(backward, reverse=True)
    assert {f"net.0{end}", f"net.0.reverse{end}"} < set(norms)
    blocks = {"net.0.i", "net.0.reverse.i", "net.1.reverse.o"} if cell == "lstm" else set()
    assert blocks <= set(spectral_radii(module))


def test_training_is_not_changed_by_a_measurement() -> None:
    torch.manual_seed(0)
    module = ParityModule(RecurrentConfig(cell="lstm", hidden_size=3, num_layers=2, dropout=0.5), input_noise=0.3)
    before = torch.get_rng_state()
    norms = gradient_norms(module, BITS)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(weight.grad is None for weight in module.parameters())
    assert not module.net._forward_hooks
    assert list(norms) == ["net.0.h", "net.0.c", "net.1.h", "net.1.c"]
    assert all(len(values) == 5 and values[0] > 0 for values in norms.values())


def test_blocks_of_a_transformer_are_recorded() -> None:
    net = SymbolNetConfig("transformer", d_model=8, transformer=TransformerEncoderConfig(num_layers=2))
    module = FormalLanguageModule(2, 2, net, supervision="last")
    norms = gradient_norms(module, BITS)
    assert [len(values) for values in norms.values()] == [5, 5]
    first, second = norms.values()
    assert min(first) > 0  # attention reaches back
    assert max(second[:2]) == 0  # the last block's earlier outputs are read by nobody: labels stand at steps 3 and 5
    assert spectral_radii(module) == {}


def test_spectral_radius_of_an_identity_is_one() -> None:
    module = ParityModule(RecurrentConfig(cell="gru", hidden_size=4, recurrent_init="identity"))
    assert spectral_radii(module) == pytest.approx({"net.0.r": 1, "net.0.z": 1, "net.0.n": 1})


def test_a_run_leaves_tables_and_a_picture(run: Run, tmp_path: Path) -> None:
    done = run(
        "fit", "--config=formal/recall", "--data.min_length=6", "--data.max_length=6", "--data.train_size=256",
        "--data.val_size=16", "--trainer.max_epochs=1", "--trainer.accelerator=cpu", "--model.net.rnn.cell=lstm",
        "--model.net.rnn.hidden_size=4", "--trainer.log_every_n_steps=1",
        '--trainer.callbacks=[{"class_path":"GradientFlow","init_args":{"every":3}}]',
    )  # fmt: skip
    assert done.code == 0, done.err
    rows = list(csv.DictReader(newest("gradient_flow.csv").read_text().splitlines()))
    assert {row["step"] for row in rows} == {"1", "4"}
    assert [row["t"] for row in rows if row["step"] == "1" and row["layer"] == "net.recurrent.0.h"] == list("123456")
    assert len(list(csv.DictReader(newest("spectral_radius.csv").read_text().splitlines()))) == 2 * 4
    assert newest("gradient_flow.png").stat().st_size > 5000
    assert "flow/net.recurrent.0.c" in newest("metrics.csv").read_text()


def test_a_resumed_run_keeps_what_was_measured_before(tmp_path: Path) -> None:
    def fit(steps: int, checkpoint: Path | None = None) -> tuple[GradientFlow, Trainer]:
        torch.manual_seed(0)
        flow, data = GradientFlow(every=2), ParityDataModule(train_size=64, batch_size=8, max_length=5)
        trainer = quiet_trainer(tmp_path, flow, max_steps=steps, limit_val_batches=0)
        trainer.fit(ParityModule(RecurrentConfig(hidden_size=3)), data, ckpt_path=checkpoint, weights_only=True)
        return flow, trainer

    first, trainer = fit(4)
    trainer.save_checkpoint(tmp_path / "part.ckpt")
    whole, resumed = fit(8)[0], fit(8, tmp_path / "part.ckpt")[0]
    assert [flow.step for flow in first.flows] == [1, 3]
    assert [flow.step for flow in resumed.flows] == [1, 3, 5, 7]
    assert resumed.flows == whole.flows


def test_a_model_without_states_is_refused() -> None:
    module = MLPClassifier(["x"], ["in", "out"])
    with pytest.raises(UserError, match=r"^GradientFlow: MLPClassifier has no states over time"):
        GradientFlow().on_fit_start(Trainer(logger=False, enable_checkpointing=False), module)
