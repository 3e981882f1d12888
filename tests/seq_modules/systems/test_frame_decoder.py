"""Chorales frame by frame: likelihood, metrics by part, sampling, and a batch learnt by heart."""

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.trainers import quiet_trainer

import seqlight
from datamodules import ChoraleFramesDataModule
from datamodules.music.retrieval import RetrievalIndex, Retriever
from seq_modules import FrameDecoder, LSTMFrameDecoder, TransformerFrameDecoder
from seq_modules.generation.decoding_config import Decoding
from seq_modules.nets.music.frame_backbones import FrameTransformerConfig
from seq_modules.nets.music.frame_net import FrameConfig
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.training.metrics.frames import ExactFrames, FrameAccuracy, NatsPerFrame
from seq_modules.training.optim import OptimConfig
from seqlight.core.labels import IGNORED
from seqlight.music.frame_notes import frames_to_notes

KINDS = ("lstm", "transformer")


def make(
    kind: str, frame: dict[str, Any] | None = None, dropout: float = 0.2, width: int = 16, **settings: Any
) -> FrameDecoder:
    torch.manual_seed(0)
    parts = {"vocab_size": 90, "frame_size": 4, "frames": FrameConfig(**{"d_frame": 16, **(frame or {})}), **settings}
    if kind == "lstm":
        return LSTMFrameDecoder(net=RecurrentConfig("lstm", width, dropout=dropout), **parts)
    return TransformerFrameDecoder(net=FrameTransformerConfig(width, 1, 2, dropout=dropout), **parts)


def ready(stage: str = "fit", **settings: Any) -> ChoraleFramesDataModule:
    data = ChoraleFramesDataModule(**{"batch_size": 4, "seed": 0, "retrieved": 4, **settings})
    data.setup(stage)
    return data


@pytest.mark.parametrize("kind", KINDS)
def test_nats_are_the_cross_entropies_of_the_places_and_padding_counts_for_nothing(kind: str) -> None:
    module, data = make(kind).eval(), ready("test")
    batch = data.test_set.__getitems__([0, 1, 2])  # type: ignore[union-attr]
    together = module(batch)
    alone = torch.cat([module(data.test_set.__getitems__([row])) for row in range(3)])  # type: ignore[union-attr]
    torch.testing.assert_close(together, alone)
    assert len(together) == sum(len(piece.frames) for piece in data.chorales["test"][:3])
    expected = []
    states = module.net(batch["input_ids"], batch["position"])
    for row, labels in enumerate(batch["labels"]):
        for t, frame in enumerate(labels):
            if frame[0] != IGNORED:
                given = frame.masked_fill(frame == IGNORED, module.net.end_id)[None]
                here = [batch[name][row, t : t + 1] for name in ("retrieved", "match_lengths")]
                logits = module.net.within(states[row, t : t + 1], batch["input_ids"][row, t : t + 1], given, *here)
                logs = logits[0].log_softmax(-1)
                expected.append(-sum(logs[k, i] for k, i in enumerate(frame.tolist()) if i != IGNORED))
    torch.testing.assert_close(together, torch.stack(expected))  # type: ignore[arg-type]


def test_test_reports_all_clean_and_leaked(tmp_path: Path) -> None:
    module, data = make("lstm"), ready("test")
    (found,) = quiet_trainer(tmp_path).test(module, data, verbose=False)
    nats, flags = [], data.leaked("test")
    for row in range(len(flags)):
        nats.append(module.eval()(data.test_set.__getitems__([row])).detach())  # type: ignore[union-attr]
    parts = {name: [n for n, flag in zip(nats, flags, strict=True) if flag == value] for name, value in
             (("clean", False), ("leaked", True))}  # fmt: skip
    assert found["test/nats_per_frame"] == pytest.approx(torch.cat(nats).mean().item(), rel=1e-5)
    assert found["test/loss"] == found["test/nats_per_frame"]
    for name, values in parts.items():
        assert found[f"test/{name}_nats_per_frame"] == pytest.approx(torch.cat(values).mean().item(), rel=1e-5)
    assert 0 <= found["test/exact_frames"] <= found["test/frame_accuracy"] <= 1


def test_metrics_by_hand() -> None:
    accuracy, exact = FrameAccuracy(), ExactFrames()
    frame, predicted = torch.tensor([[1, 2, 5], [5, 5, 5], [0, 5, 5]]), torch.tensor([[2, 3, 4], [5, 5, 5], [0, 5, 5]])
    for row in range(3):
        accuracy.update(predicted[row : row + 1], frame[row : row + 1], torch.tensor(5))
        exact.update(predicted[row : row + 1], frame[row : row + 1])
    assert accuracy.compute() == 2 / (2 + 1 + 2)  # right 2 and 0; missed 1; added 3 and 4
    assert exact.compute() == pytest.approx(2 / 3)
    nats, leaked = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([True, False, True])
    for part, value in (("clean", 2.0), ("leaked", 3.5)):
        metric = NatsPerFrame(part)  # type: ignore[arg-type]
        metric.update(nats, leaked)
        assert metric.compute() == value
    none = NatsPerFrame("leaked")
    none.update(nats, torch.zeros(3, dtype=torch.bool))
    assert none.compute().isnan()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("memory", [False, True])
def test_a_sample_is_what_reading_it_again_would_choose(kind: str, memory: bool) -> None:
    module, data = make(kind), ready("test")
    module.tokenizer = data.tokenizer
    prompts = [torch.from_numpy(data.tokenizer.encode(piece.frames[:n])) for piece, n in
               zip(data.chorales["test"], (0, 3, 6), strict=False)]  # fmt: skip
    index = RetrievalIndex(data.chorales["train"], data.tokenizer, 4)
    retrievers = [Retriever(index) for _ in prompts] if memory else None
    new = module.sample(3, Decoding(max_new_tokens=8, temperature=0), prompts, retrievers=retrievers)
    assert module.training
    module.eval()
    for prompt, ids in zip(prompts, new, strict=True):
        assert ids.shape == (8, 4)
        frames = torch.cat((prompt, ids))
        assert data.tokenizer.encode(data.tokenizer.decode(frames.numpy())).tolist() == frames.tolist()  # well formed
        before = torch.cat((torch.full((1, 4), data.tokenizer.start_id), frames[:-1]))
        given = {}
        if memory:
            retriever = Retriever(index)
            found = []
            for frame in data.tokenizer.decode(frames.numpy()):
                found.append(retriever.retrieved())
                retriever.append(frame)
            given = {name: torch.from_numpy(np.stack([f[part] for f in found])) for part, name in
                     enumerate(("retrieved", "lengths"))}  # fmt: skip
        states = module.net(before[None], torch.tensor([0]))[0]
        assert module.predicted(states, before, **given)[len(prompt) :].tolist() == ids.tolist()


def test_samples_follow_the_seed_and_the_row_alone() -> None:
    module = make("lstm")
    free = Decoding(max_new_tokens=6, seed=3)
    three = module.sample(3, free)
    assert torch.equal(module.sample(1, free, sample_ids=[1])[0], three[1])
    assert not torch.equal(three[0], three[1])
    assert not torch.equal(module.sample(1, Decoding(max_new_tokens=6, seed=4))[0], three[0])
    with pytest.raises(ValueError, match=r"^repetition_penalty 1\.2"):
        module.sample(1, Decoding(repetition_penalty=1.2))


def test_samples_have_the_probabilities_of_the_model() -> None:
    module = make("lstm", vocab_size=5, frame_size=2).eval()  # three pitches
    drawn = module.sample(4000, Decoding(max_new_tokens=1, seed=0))
    frames, counts = torch.cat(drawn).unique(dim=0, return_counts=True)
    before = torch.full((len(frames), 2), module.net.start_id)
    states = module.net(before[:1, None], torch.tensor([0]))[:, 0].expand(len(frames), -1)
    logs = module.net.within(states, before, frames).log_softmax(-1).gather(-1, frames[..., None]).squeeze(-1)
    ended = (frames == module.net.end_id).cumsum(1) > 1
    probs = logs.masked_fill(ended, 0).sum(1).exp()
    assert len(frames) == 7
    assert probs.sum().item() == pytest.approx(1, abs=1e-5)
    assert ((counts / 4000 - probs).abs() < 4 * (probs * (1 - probs) / 4000).sqrt() + 1e-4).all()


def test_held_notes() -> None:
    frames = [(48, 60, 64), (48, 62, 64), (), (48, 64), (48, 60, 64), (60, 64, 67)]
    assert frames_to_notes(frames, first=1) == [
        [24, 48, 48], [24, 60, 24], [24, 64, 48], [48, 62, 24], [96, 48, 48], [96, 64, 48], [120, 60, 24],
        [144, 60, 24], [144, 64, 24], [144, 67, 24],
    ]  # fmt: skip
    assert frames_to_notes([]) == []


def test_predictions_are_rows_of_notes() -> None:
    module, data = make("lstm"), ready("predict", prompt_frames=3, samples=2)
    module.tokenizer = data.tokenizer
    module.decoding = Decoding(max_new_tokens=4)
    rows = module.predict_step(data.predict_dataloader().dataset.__getitems__([0, 1]), 0)  # type: ignore[attr-defined]
    for row, piece in zip(rows, data.chorales["test"], strict=False):
        assert row["prompt"] == piece.name
        assert row["prompt_notes"] == frames_to_notes(piece.frames[:3])
        assert row["notes"] == frames_to_notes([tuple(frame) for frame in row["frames"]], 3)
        assert len(row["frames"]) == 4
        assert all(start >= 72 for start, _, _ in row["notes"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_learnt_by_heart_and_lives_in_the_checkpoint(kind: str, tmp_path: Path) -> None:
    frame = {"d_frame": 32, "input_dropout": 0.0, "frame_dropout": 0.0, "retrieval": False}
    module = make(kind, frame, dropout=0.0, width=32, optim=OptimConfig(1e-2, beta2=0.98))
    data = ChoraleFramesDataModule(batch_size=2, transpose_down=0, transpose_up=0, retrieved=0, seq_len=12, seed=0)
    fitted = quiet_trainer(tmp_path, max_epochs=80, overfit_batches=1, limit_val_batches=0)
    fitted.fit(module, data)
    assert fitted.callback_metrics["train/loss"] < 0.1
    assert fitted.callback_metrics["train/nats_per_frame"] == pytest.approx(
        fitted.callback_metrics["train/loss"].item()
    )
    fitted.save_checkpoint(tmp_path / "a.ckpt")
    again = seqlight.load(tmp_path / "a.ckpt")
    batch = data.train_set.__getitems__([0, 1])  # type: ignore[union-attr]
    assert isinstance(again, FrameDecoder)
    assert again.tokenizer.fingerprint == data.tokenizer.fingerprint
    torch.testing.assert_close(again(batch), module.eval()(batch))
    piece = data.tokenizer.decode(batch["labels"][0].masked_fill(batch["labels"][0] < 0, 88).numpy())
    if batch["position"][0] == 0:
        begin = torch.from_numpy(data.tokenizer.encode(piece[:3]))
        (new,) = again.sample(1, Decoding(max_new_tokens=9, temperature=0), [begin])
        assert data.tokenizer.decode(new.numpy()) == piece[3:12]


def test_weights_that_nothing_would_train_are_refused(tmp_path: Path) -> None:
    data = ChoraleFramesDataModule(batch_size=2, retrieved=0, seed=0)
    with pytest.raises(ValueError, match=r"^frames\.retrieval .*--data\.retrieved 0.*--model\.frames\.retrieval false"):
        quiet_trainer(tmp_path, max_steps=1).fit(make("lstm"), data)
    quiet_trainer(tmp_path, max_steps=1, limit_val_batches=0).fit(module := make("lstm", {"retrieval": False}), data)
    assert all(weight.grad is not None for weight in module.parameters())


def test_predict_follows_from_the_checkpoint_alone(tmp_path: Path) -> None:
    """With the training chorales gone, it retrieves them all the same."""
    file, quiet = tmp_path / "own.json", Decoding(max_new_tokens=24)
    draw = random.Random(0)  # of five pitches, so that what the model makes up agrees with some of it
    pieces = [[sorted(draw.sample(range(60, 65), 2)) for _ in range(40)] for _ in range(12)]
    file.write_text(json.dumps({"train": pieces[:10], "valid": pieces[10:11], "test": pieces[11:]}))
    settings = {"path": str(file), "batch_size": 2, "samples": 2, "retrieved": 4, "seed": 0}
    settings |= {"tokens": {"lowest": 60, "highest": 64, "frame_size": 2}}
    module, data = make("lstm", vocab_size=7, frame_size=2), ChoraleFramesDataModule(**settings)  # type: ignore[arg-type]
    fitted = quiet_trainer(tmp_path, max_steps=1, limit_val_batches=0)
    fitted.fit(module, data)
    torch.nn.init.constant_(module.net.within.copy.logit[-1].bias, 8.0)  # it copies
    fitted.save_checkpoint(tmp_path / "a.ckpt")
    expected = module.sample(2, quiet, retrievers=[Retriever(data.index) for _ in range(2)])
    assert [ids.tolist() for ids in expected] != [ids.tolist() for ids in module.sample(2, quiet)]
    file.unlink()
    module.decoding = quiet
    alone = ChoraleFramesDataModule(**settings)  # type: ignore[arg-type]
    (rows,) = quiet_trainer(tmp_path).predict(module, alone, ckpt_path=tmp_path / "a.ckpt", weights_only=True)
    frames = [[list(frame) for frame in data.tokenizer.decode(ids.numpy())] for ids in expected]
    assert [row["frames"] for row in rows] == frames


def test_retrieval_is_left_out_of_some_pieces_in_training_alone() -> None:
    module, data = make("lstm", {"retrieval_dropout": 1.0}), ready("fit")
    batch = data.train_set.__getitems__(range(8))  # type: ignore[union-attr]
    without = {name: value for name, value in batch.items() if name not in ("retrieved", "match_lengths")}
    torch.nn.Module.eval(module)
    given, none = module(batch), module(without)
    assert not torch.allclose(given, none)
    for part in module.modules():
        part.training = part is module  # no dropout but that of retrieval
    torch.testing.assert_close(module(batch), none)
    assert math.isfinite(none.sum().item())
    with pytest.raises(ValueError, match=r"^frame_size is not given"):
        LSTMFrameDecoder(vocab_size=90)
