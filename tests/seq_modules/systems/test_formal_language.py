"""FormalLanguageModule: its loss against plain Python, judged steps, one batch learnt by heart, the length sweep."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from datamodules import FormalLanguageDataModule
from seq_modules import FormalLanguageModule
from seq_modules.callbacks import LengthSweep
from seq_modules.training.metrics.steps import StepAccuracy, is_right, judged
from seqlight.core.errors import UserError


def module_of(data: FormalLanguageDataModule, cell: str = "gru", **options: Any) -> FormalLanguageModule:
    torch.manual_seed(0)
    net = {"rnn": {"cell": cell, "hidden_size": 16}, **options.pop("net", {})}
    return FormalLanguageModule(data.vocab_size, data.num_classes, net=net, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("supervision", ["full", "last"])
@pytest.mark.parametrize("task", ["modular_arithmetic", "reverse"])
def test_loss_is_the_sum_over_the_supervised_steps(task: Any, supervision: Any) -> None:
    data = FormalLanguageDataModule(task, max_length=9)
    module, batch = module_of(data, supervision=supervision), data.val_set.__getitems__(range(6))
    step, total, items = module.step(batch), 0.0, 0
    for ids, mask, labels in zip(batch["input_ids"], batch["attention_mask"], batch["labels"].tolist(), strict=True):
        logits = module(ids[None, mask])[0][0].tolist()  # each row by itself, without padding
        asked = [t for t, label in enumerate(labels) if label >= 0]
        for t in asked if supervision == "full" else asked[-1:]:
            total -= logits[t][labels[t]] - math.log(sum(math.exp(z) for z in logits[t]))
            items += 1
    assert step.loss_sum.item() == pytest.approx(total, rel=1e-5)
    assert step.num_targets == items


def test_judged_steps_and_accuracy_by_hand() -> None:
    labels = torch.tensor([[0, -100, 2, -100], [1, 1, -100, 0], [-100] * 4])
    assert judged(labels, "all").tolist() == [[True, False, True, False], [True, True, False, True], [False] * 4]
    assert judged(labels, "last").tolist() == [[False, False, True, False], [False, False, False, True], [False] * 4]
    logits = torch.zeros(3, 4, 3)
    logits[0, :, 2] = logits[1, :, 1] = 1.0
    assert is_right(logits, labels)[0].tolist() == [False, False, True, False]
    every, last = StepAccuracy("all"), StepAccuracy("last")
    for metric in (every, last):
        metric.update(logits, labels)
    assert every.compute() == pytest.approx(3 / 5)
    assert last.compute() == pytest.approx(1 / 2)


@pytest.mark.parametrize(
    ("net", "task"),
    [
        # Not rotary: its angles say nothing of a string of equal symbols, so "1" and "11" have the same answer.
        *((net, "count_modulo_3") for net in ("gru", "mingru", "minlstm", "diagonal", "deltanet", "alibi")),
        *((net, "reverse") for net in ("gru", "mingru", "deltanet", "alibi", "rotary")),
        *((net, task) for net in ("gru", "rotary") for task in ("modular_arithmetic", "bucket_sort", "recall")),
    ],
)
def test_one_batch_is_learnt_by_heart(net: str, task: Any) -> None:
    data = FormalLanguageDataModule(task, max_length=6)
    if net in ("alibi", "rotary"):
        module = module_of(data, net={"backbone": "transformer", "d_model": 16, "transformer": {"positions": net}})
    else:
        linear = {"residual": True, "negative_eigenvalues": True, "num_householder": 2}
        rnn = {"cell": net, "hidden_size": 16, "linear": linear}
        module = module_of(data, net={"rnn": rnn})
    batch = data.val_set.__getitems__(range(6))
    optimizer = torch.optim.Adam(module.parameters(), 2e-2)
    for _ in range(200):
        step = module.step(batch)
        loss = step.loss_sum / step.num_targets
        if loss.item() < 0.05:
            return
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    pytest.fail(f"loss {loss.item():.3f} after 200 steps")


def test_prediction_rows() -> None:
    data = FormalLanguageDataModule("modular_arithmetic", strings=["1+2*3", "4"])
    module = module_of(data)
    first, second = module.predict_step(data.predict_set.__getitems__([0, 1]), 0)
    assert first["symbols"] == [1, 5, 2, 7, 3]
    assert len(first["answers"]) == 3
    assert first["answer"] == first["answers"][-1]
    assert second == {"index": 1, "symbols": [4], "answer": second["answer"], "answers": [second["answer"]]}


ONE_PROCESS: Any = SimpleNamespace(
    global_rank=0, world_size=1, strategy=SimpleNamespace(reduce=lambda values, reduce_op: values)
)


class AlwaysRight:
    """In place of a net: the answers of a task, from the labels that belong to its inputs."""

    device = torch.device("cpu")

    def __init__(self, data: FormalLanguageDataModule, state: Any, wrong_at: int | None = None) -> None:
        self.data, self.state, self.wrong_at = data, state, wrong_at

    def __call__(self, ids: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]:
        assert isinstance(ids, torch.Tensor)
        start = 0 if state is None else state
        labels = self.data.sequences(60, 1)["labels"][:, start : start + ids.shape[1]] if len(ids) == 1 else None
        if labels is None:
            labels = self.data.sequences(ids.shape[1], len(ids))["labels"]
        logits = torch.nn.functional.one_hot(labels.clamp(min=0), self.data.num_classes).float()
        if self.wrong_at is not None and len(ids) == 1 and start <= self.wrong_at < start + ids.shape[1]:
            logits[0, self.wrong_at - start] *= -1
        return logits, None if self.state is None else start + ids.shape[1]


def test_the_length_sweep_judges_classes_and_streams_where_there_is_a_state() -> None:
    data = FormalLanguageDataModule("modular_arithmetic")
    sweep = LengthSweep(min_length=5, max_length=5, sequences=8, stream_bits=60, chunk=7)
    net: Any = AlwaysRight(data, state=0)
    assert sweep._each_length(ONE_PROCESS, net, data, range(5, 6)).tolist() == [1]
    assert sweep._carries
    assert sweep._classes == 5
    assert sweep._stream(net, data) == (1.0, 0, 60)
    accuracy, errors, first = sweep._stream(AlwaysRight(data, 0, wrong_at=30), data)  # type: ignore[arg-type]
    assert (accuracy, errors, first) == (1 - 1 / 30, 1, 30)  # 30 numbers among the 59 symbols; their answers count
    stateless: Any = AlwaysRight(data, None)
    sweep._each_length(ONE_PROCESS, stateless, data, range(5, 6))
    assert not sweep._carries


@pytest.mark.parametrize("task", ["modular_arithmetic", "even_pairs"])
@pytest.mark.parametrize("backbone", ["recurrent", "transformer"])
def test_prefixes_are_judged_as_strings_of_their_own(task: Any, backbone: str) -> None:
    data = FormalLanguageDataModule(task)
    module = module_of(data, net={"backbone": backbone, "d_model": 16} if backbone == "transformer" else {}).eval()
    sweep = LengthSweep(min_length=3, max_length=12, sequences=40, batch_size=16, prefixes=True)
    with torch.inference_mode():
        measured = sweep._prefixes(ONE_PROCESS, module, data, range(3, 13))
        batch, expected = data.sequences(12, 40), []
        for length in range(3, 13):
            logits, labels = module(batch["input_ids"][:, :length])[0], batch["labels"][:, :length]
            last = [max((row >= 0).nonzero())[0] for row in labels]
            right = [int(scores[t].argmax() == row[t]) for scores, row, t in zip(logits, labels, last, strict=True)]
            expected.append(sum(right) / 40)
    assert 0 < sum(expected) < 10
    assert measured.tolist() == pytest.approx(expected)


def test_prefixes_have_one_answer() -> None:
    with pytest.raises(UserError, match="prefixes are judged by their last step"):
        LengthSweep(steps="all", prefixes=True)
