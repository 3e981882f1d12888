"""Classifiers from scratch: the loss against torch's, metrics by hand, names and weights through the checkpoint."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers.toy_questions import OPENINGS, QuestionData, a_batch, overfit, sentences
from helpers.trainers import quiet_trainer
from lightning.pytorch import Trainer, seed_everything

import seqlight
from seq_modules import TextClassifier
from seq_modules.callbacks import LastCheckpoint
from seq_modules.nets.text.text_encoder import TextEncoderConfig
from seq_modules.systems.classifier import LossConfig
from seq_modules.training.metrics.calibration import CalibrationError
from seq_modules.training.optim import OptimConfig
from seqlight.core.hyperparameters import group_from

DATA = QuestionData()
CELLS = ("rnn", "lstm", "gru")


def net_of(encoder: str = "lstm", **changes: Any) -> TextEncoderConfig:
    """A small net; a recurrent encoder is named by its cell, and groups are given as dicts."""
    fields: dict[str, Any] = {
        "encoder": "recurrent" if encoder in CELLS else encoder, "d_model": 12, "attention_size": 5,
        "rnn": {"hidden_size": 10, "cell": encoder if encoder in CELLS else "lstm"}, "cnn": {"num_filters": 6},
        "transformer": {"num_heads": 2},
    }  # fmt: skip
    for name, value in changes.items():
        fields[name] = {**fields.get(name, {}), **value} if isinstance(value, dict) else value
    return group_from(TextEncoderConfig, fields)


def make(net: dict[str, Any] | None = None, **changes: Any) -> TextClassifier:
    """A small classifier: fields of its net, and of loss and optim, which are given as dicts."""
    torch.manual_seed(0)
    optim = OptimConfig(**{"learning_rate": 1e-3, "fused": True, **changes.pop("optim", {})})
    loss = LossConfig(**changes.pop("loss", {}))
    return TextClassifier(DATA.vocab_size, 3, 6, net=net_of(**(net or {})), loss=loss, optim=optim, **changes)


def trainer(folder: Path, **settings: Any) -> Trainer:
    return quiet_trainer(folder, LastCheckpoint(), **{"max_epochs": 1, **settings})


def fit(folder: Path, module: TextClassifier, data: QuestionData | None = None, **settings: Any) -> Trainer:
    seed_everything(0, verbose=False)
    fitted = trainer(folder, **settings)
    fitted.fit(module, data or QuestionData())
    return fitted


@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 1.0]])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("aux_weight", [0.0, 0.7])
def test_training_loss_is_torchs_with_weights_smoothing_and_the_other_level(
    weights: list[float] | None, smoothing: float, aux_weight: float
) -> None:
    module = make(loss={"label_smoothing": smoothing, "class_weights": weights, "aux_weight": aux_weight}).train()
    batch = a_batch()
    batch["labels"][1] = batch["aux_labels"][2] = -100
    step = module.step(batch)
    vectors = module.net.encoder(batch["input_ids"], batch["attention_mask"].bool())
    options: dict[str, Any] = {"reduction": "sum", "label_smoothing": smoothing}
    expected = F.cross_entropy(
        module.net.head(vectors), batch["labels"], None if weights is None else torch.tensor(weights), **options
    )
    if aux_weight:
        assert module.net.aux_head is not None
        expected = expected + aux_weight * F.cross_entropy(module.net.aux_head(vectors), batch["aux_labels"], **options)
    else:
        assert module.net.aux_head is None
    torch.testing.assert_close(step.loss_sum, expected)
    assert step.num_targets == 5
    grads = torch.autograd.grad(step.loss_sum, list(module.parameters()), retain_graph=True)
    theirs = torch.autograd.grad(expected, list(module.parameters()))
    for ours, other in zip(grads, theirs, strict=True):
        torch.testing.assert_close(ours, other)


@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 1.0]])
def test_probabilities_take_the_labels_place_in_training(weights: list[float] | None) -> None:
    module, batch = make(loss={"class_weights": weights}).train(), a_batch()
    logits = module(batch["input_ids"], batch["attention_mask"])
    targets = torch.rand(logits.shape).softmax(-1)
    step = module.step({**batch, "probabilities": targets})
    by_class = torch.ones(3) if weights is None else torch.tensor(weights)
    torch.testing.assert_close(step.loss_sum, -(by_class * targets * logits.log_softmax(-1)).sum())
    certain = F.one_hot(batch["labels"], 3).double()  # as a true precision of 64 bits has them
    plain = module.step(batch)
    torch.testing.assert_close(module.step({**batch, "probabilities": certain}).loss_sum, plain.loss_sum)
    measured = module.eval().step({**batch, "probabilities": targets})
    torch.testing.assert_close(measured.loss_sum, module.step(batch).loss_sum)  # validation knows labels alone


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_weights_of_classes_go_with_any_precision(dtype: torch.dtype) -> None:
    module = make(loss={"class_weights": [0.5, 2.0, 1.0]}).train()
    expected = module.step(a_batch())
    step = module.to(dtype).step(a_batch())
    torch.testing.assert_close(step.loss_sum, expected.loss_sum, rtol=3e-2, atol=0, check_dtype=False)
    step.loss_sum.backward()


def test_loss_of_evaluation_is_the_plain_cross_entropy() -> None:
    module = make(
        {"dropout": 0.5}, loss={"label_smoothing": 0.2, "class_weights": [1.0, 5.0, 9.0], "aux_weight": 1.0}
    ).eval()
    batch = a_batch()
    logits = module(batch["input_ids"], batch["attention_mask"])
    log_p = logits.log_softmax(-1)
    expected = -sum(log_p[row, label] for row, label in enumerate(batch["labels"].tolist()))
    torch.testing.assert_close(module.step(batch).loss_sum, expected)


@pytest.mark.parametrize(
    ("net", "optim"),
    [
        ({"encoder": "rnn", "pooling": "last"}, {}),
        ({"encoder": "lstm", "rnn": {"bidirectional": True}, "embedding": {"char_orders": [2, 3]}}, {}),
        ({"encoder": "lstm", "pooling": "mean", "rnn": {"backend": "numpy"}}, {}),
        ({"encoder": "gru", "pooling": "attention", "rnn": {"backend": "bptt"}}, {}),
        ({"encoder": "cnn", "cnn": {"kernel_sizes": [2, 3]}}, {}),
        ({"encoder": "transformer", "pooling": "mean"}, {"optimizer": "muon"}),
        ({"encoder": "embeddings", "pooling": "mean", "embedding": {"word_orders": [2]}}, {}),
    ],
)
def test_overfits_one_batch(net: dict[str, Any], optim: dict[str, Any]) -> None:
    module = make(net, optim={"learning_rate": 0.01, **optim}, loss={"aux_weight": 0.1}).train()
    overfit(module, steps=60)


def test_metrics_are_what_a_count_by_hand_gives(tmp_path: Path) -> None:
    module = make()
    module.eval()
    tested = trainer(tmp_path)
    (logged,) = tested.test(module, QuestionData(batch_size=7), verbose=False)  # the last batch is smaller
    data = QuestionData()
    assert data.test_set is not None
    batch = data.test_set.__getitems__(list(range(48)))  # type: ignore[attr-defined]
    probabilities = module(batch["input_ids"], batch["attention_mask"]).detach().softmax(-1)
    confidence, chosen = probabilities.max(-1)
    true = batch["labels"]
    f1 = []
    for label in range(3):
        hit = int(((chosen == label) & (true == label)).sum())
        f1.append(2 * hit / max(1, int((chosen == label).sum()) + int((true == label).sum())))
    error = 0.0
    for low in range(15):
        inside = (confidence * 15).long() == low
        if inside.any():
            gap = (chosen[inside] == true[inside]).double().mean() - confidence[inside].double().mean()
            error += inside.double().mean().item() * abs(gap.item())
    assert logged["test/accuracy"] == pytest.approx((chosen == true).double().mean().item())
    assert logged["test/macro_f1"] == pytest.approx(sum(f1) / 3)
    assert logged["test/calibration_error"] == pytest.approx(error, abs=1e-6)
    expected = F.cross_entropy(module(batch["input_ids"], batch["attention_mask"]), true).item()
    assert logged["test/loss"] == pytest.approx(expected, rel=1e-5)
    counts = torch.zeros(3, 3, dtype=torch.long)
    for row, column in zip(true.tolist(), chosen.tolist(), strict=True):
        counts[row, column] += 1
    assert torch.equal(module.confusion.compute(), counts)


def test_calibration_error_of_certainty_and_of_chance() -> None:
    metric = CalibrationError(bins=4)
    metric.update(torch.tensor([[100.0, 0.0], [100.0, 0.0]]), torch.tensor([0, 1]))  # sure twice, right once
    assert metric.compute() == pytest.approx(0.5)
    metric.update(torch.tensor([[0.0, 0.0]]), torch.tensor([-100]))  # does not count
    assert metric.compute() == pytest.approx(0.5)


def test_balanced_weights_come_from_the_datas_counts_and_stay_in_the_checkpoint(tmp_path: Path) -> None:
    module = make(loss={"class_weights": "balanced"})
    fit(tmp_path, module)
    expected = torch.tensor([64 / (3 * count) for count in (40, 8, 16)])
    torch.testing.assert_close(module.class_weights, expected)
    loaded = TextClassifier.load_from_checkpoint(tmp_path / "checkpoints/last.ckpt", weights_only=True)
    torch.testing.assert_close(loaded.class_weights, expected)


@pytest.mark.parametrize("weights", [[1.0, 2.0, 4.0], None, "balanced"])
def test_weights_of_classes_given_anew_win_over_the_checkpoints(tmp_path: Path, weights: Any) -> None:
    fit(tmp_path, make(loss={"class_weights": [3.0, 2.0, 1.0]}))
    module = make(loss={"class_weights": weights})
    resumed = trainer(tmp_path, max_epochs=2)
    resumed.fit(module, QuestionData(), ckpt_path=tmp_path / "checkpoints/last.ckpt", weights_only=True)
    if weights == "balanced":
        weights = [64 / (3 * count) for count in (40, 8, 16)]
    expected = torch.ones(3) if weights is None else torch.tensor(weights)
    torch.testing.assert_close(module.class_weights, expected)


@pytest.mark.parametrize("weights", [[1.0, float("nan"), 1.0], [1.0, -1.0, 1.0], [1.0, float("inf"), 1.0], "balance"])
def test_weights_that_no_class_can_have_are_refused(weights: Any) -> None:
    with pytest.raises(ValueError, match=r"^loss.class_weights must be .* not .*(nan|-1.0|inf|balance)"):
        make(loss={"class_weights": weights})


def test_a_checkpoint_alone_predicts_with_names(tmp_path: Path) -> None:
    embedding = {"char_orders": [2, 3], "word_dropout": 0.1}
    net = {"encoder": "gru", "pooling": "attention", "embedding": embedding}
    module = make(net, optim={"learning_rate": 0.02})
    fit(tmp_path, module, max_epochs=8)
    assert module.embeddings[0].unknown_id == 1
    loaded = seqlight.load(tmp_path / "checkpoints/last.ckpt")
    assert isinstance(loaded, TextClassifier)
    assert loaded.class_names == list(OPENINGS)
    batch = QuestionData().predict_set.__getitems__([0, 1, 2, 3])  # type: ignore[union-attr]
    rows = loaded.predict_step(batch, 0)
    expected = module.eval()(batch["input_ids"], batch["attention_mask"]).softmax(-1)
    for row, chances, (text, label, _) in zip(rows, expected, sentences()[:4], strict=True):
        assert row["text"] == text
        assert row["label"] == list(OPENINGS)[label]
        assert row["probability"] == pytest.approx(chances.max().item(), abs=1e-5)


def test_names_that_mean_something_else_are_refused(tmp_path: Path) -> None:
    fit(tmp_path, make())
    file = tmp_path / "checkpoints/last.ckpt"
    with pytest.raises(ValueError, match=r"^class_names of the data \(LOC, HUM, NUM\)"):
        trainer(tmp_path).test(make(), QuestionData(names=["LOC", "HUM", "NUM"]), ckpt_path=file, weights_only=True)
    with pytest.raises(ValueError, match=r"^num_classes 3 is not the data's 2"):
        trainer(tmp_path).test(make(), QuestionData(names=["LOC", "HUM"]), verbose=False)
    module = make()  # but to predict, the data's names do not matter
    rows = trainer(tmp_path).predict(
        module, QuestionData(names=["LOC", "HUM", "NUM"]), ckpt_path=file, weights_only=True
    )
    assert rows is not None
    assert module.class_names == list(OPENINGS)


def test_vectors_are_taken_and_frozen(tmp_path: Path) -> None:
    file = tmp_path / "glove.txt"
    words = ["who", "where", "paris", "unheard"]
    file.write_text(
        "".join(f"{word} {' '.join(str(0.1 * i + at) for i in range(12))}\n" for at, word in enumerate(words))
    )
    for frozen in (True, False):
        module = make({"embedding": {"vectors": str(file), "freeze": frozen}})
        fit(tmp_path, module, max_epochs=2)
        found = [module.embeddings[0].tokens.weight[DATA.tokenizer.encode(word)[0]] for word in words[:3]]
        expected = torch.stack([0.1 * torch.arange(12) + at for at in range(3)])
        assert torch.allclose(torch.stack(found), expected, atol=1e-6) is frozen
        assert (module.embeddings[0].tokens.weight[0] == 0).all()
    # Later the file is needed no more, to go on training neither.
    file.unlink()
    again = make({"embedding": {"vectors": str(file)}})
    trainer(tmp_path, max_epochs=3).fit(
        again, QuestionData(), ckpt_path=tmp_path / "checkpoints/last.ckpt", weights_only=True
    )
    with pytest.raises(FileNotFoundError, match=r"^net.embedding.vectors "):
        fit(tmp_path, make({"embedding": {"vectors": str(file)}}))


def test_a_resumed_training_is_the_uninterrupted_one(tmp_path: Path) -> None:
    net = {"encoder": "embeddings", "pooling": "attention", "embedding": {"char_orders": [2]}}
    options: dict[str, Any] = {"net": net, "loss": {"class_weights": "balanced"}}
    whole = make(**options)
    fit(tmp_path / "whole", whole, max_epochs=4)
    fit(tmp_path / "part", make(**options), max_epochs=2)
    rest = make(**options)
    resumed = trainer(tmp_path / "rest", max_epochs=4)
    resumed.fit(rest, QuestionData(), ckpt_path=tmp_path / "part/checkpoints/last.ckpt", weights_only=True)
    for (name, value), other in zip(whole.state_dict().items(), rest.state_dict().values(), strict=True):
        assert torch.equal(value, other), name


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"num_classes": None}, "num_classes"),
        ({"num_classes": 1}, "num_classes"),
        ({"vocab_size": None}, "vocab_size"),
        ({"loss": {"aux_weight": -1.0}}, "loss.aux_weight"),
        ({"loss": {"label_smoothing": 1.0}}, "loss.label_smoothing"),
        ({"loss": {"class_weights": [1.0]}}, "loss.class_weights"),
        ({"loss": {"class_weights": [1.0, -1.0, 1.0]}}, "loss.class_weights"),
        ({"ensemble_size": 0}, "ensemble_size"),
    ],
)
def test_refuses(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=rf"^{named}"):
        TextClassifier(**{"vocab_size": 9, "num_classes": 3, **changes})


def test_muon_needs_a_transformer() -> None:
    module = make({"encoder": "lstm"}, optim={"optimizer": "muon"})
    with pytest.raises(ValueError, match=r"optimizer.* muon"):
        module.make_optimizer()


def test_word_dropout_and_balance_say_what_they_miss(tmp_path: Path) -> None:
    data = QuestionData()
    data.tokenizer.special.pop("unk")
    with pytest.raises(ValueError, match=r"^net.embedding.word_dropout"):
        fit(tmp_path, make({"embedding": {"word_dropout": 0.1}}), data)
    data = QuestionData()
    del data.class_counts
    with pytest.raises(ValueError, match=r"^loss.class_weights"):
        fit(tmp_path, make(loss={"class_weights": "balanced"}), data)


def test_a_weight_of_labels_that_are_not_there_is_told(tmp_path: Path) -> None:
    module = TextClassifier(DATA.vocab_size, 3, 0, net=net_of(), loss=LossConfig(aux_weight=0.5))
    with pytest.warns(UserWarning, match=r"^loss.aux_weight 0\.5 does nothing"):
        fit(tmp_path, module)


def test_rows_in_another_batch_get_the_same_prediction() -> None:
    module = make({"encoder": "transformer", "pooling": "attention"}).eval()
    batch = a_batch()
    together = module(batch["input_ids"], batch["attention_mask"])
    wider = copy.copy(batch) | {
        "input_ids": F.pad(batch["input_ids"], (0, 30)), "attention_mask": F.pad(batch["attention_mask"], (0, 30))
    }  # fmt: skip
    torch.testing.assert_close(module(wider["input_ids"], wider["attention_mask"]), together, rtol=0, atol=1e-6)


@pytest.mark.parametrize("encoder", ["lstm", "cnn", "transformer"])
def test_members_are_trained_in_rotation_and_averaged(tmp_path: Path, encoder: str) -> None:
    embedding = {"char_orders": [3], "word_dropout": 0.1}
    module = make({"encoder": encoder, "embedding": embedding}, ensemble_size=3, loss={"aux_weight": 0.5})
    before = copy.deepcopy(module.state_dict())
    fit(tmp_path, module, max_steps=2, max_epochs=-1)
    moved = {name.split(".")[2] for name, value in module.state_dict().items() if not torch.equal(value, before[name])}
    assert moved >= {"0", "1"}
    for name, value in module.state_dict().items():  # member 2 has not been trained yet
        assert not name.startswith("net.members.2") or name.endswith("rows") or torch.equal(value, before[name])
    module.eval()
    batch = a_batch()
    ids, mask = batch["input_ids"], batch["attention_mask"]
    alone = [net(ids, mask.bool())[0].softmax(-1) for net in module.members]
    torch.testing.assert_close(module(ids, mask).softmax(-1), torch.stack(alone).mean(0))
    loaded = seqlight.load(tmp_path / "checkpoints/last.ckpt")
    assert torch.equal(loaded(ids, mask), module(ids, mask))
    assert all(part.unknown_id is not None and bool(part.chars.rows.any()) for part in module.embeddings)
