"""Rows of chorales: labels, transpositions, what is retrieved, and that a row depends on its number alone."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules import ChoraleFramesDataModule
from datamodules.music.chorale_rows import ChoralePrompts, ChoraleTrainRows
from datamodules.music.retrieval import Retriever
from datamodules.music.sources.jsb_files import made_up_chorales
from datamodules.tokenizers import FrameTokenizer
from seqlight.core.labels import IGNORED
from seqlight.music.notes import Note, Piece


def ready(stage: str = "fit", **settings: object) -> ChoraleFramesDataModule:
    data = ChoraleFramesDataModule(**{"batch_size": 4, "seed": 0, "retrieved": 4, **settings})  # type: ignore[arg-type]
    data.setup(stage)
    return data


def frames_of(labels: torch.Tensor, tokenizer: FrameTokenizer) -> list[tuple[int, ...]]:
    return tokenizer.decode(labels.masked_fill(labels == IGNORED, tokenizer.end_id).numpy())


def test_evaluation_rows_hold_whole_pieces_in_order_with_each_frame_asked_for_once() -> None:
    data = ready("test")
    assert data.test_set is not None
    batch = data.test_set.__getitems__([0, 3])
    assert batch["leaked"].tolist() == [data.leaked("test")[0], data.leaked("test")[3]]
    for row, number in enumerate((0, 3)):
        frames = data.chorales["test"][number].frames
        labels, inputs = batch["labels"][row], batch["input_ids"][row]
        assert (labels[len(frames) :] == IGNORED).all()
        assert frames_of(labels[: len(frames)], data.tokenizer) == list(frames)
        assert (inputs[0] == data.tokenizer.start_id).all()
        assert data.tokenizer.decode(inputs[1 : len(frames)].numpy()) == list(frames[:-1])
        for frame, asked in zip(frames, labels, strict=False):
            ended = len(frame) < data.frame_size
            assert (asked == data.tokenizer.end_id).sum() == ended
            assert (asked != IGNORED).sum() == len(frame) + ended
    assert batch["position"].tolist() == [0, 0]
    assert any(data.leaked("test"))
    assert not all(data.leaked("test"))


@pytest.mark.parametrize("order", ["falling", "rising"])
def test_training_rows_are_pieces_in_all_transpositions_and_what_they_retrieve_moves_along(order: str) -> None:
    data = ready(tokens={"order": order})
    plain = ready(tokens={"order": order}, transpose_down=0, transpose_up=0)
    assert data.train_set is not None
    assert plain.train_set is not None
    ups, orders = set(), []
    for begin in (0, 60, 120):
        rows = range(begin, begin + 60)
        moved, still = data.train_set.__getitems__(rows), plain.train_set.__getitems__(rows)
        orders.append(still["labels"][:, 0, 0].tolist())
        real = moved["labels"] >= 0
        pitches = real & (moved["labels"] < data.tokenizer.end_id)
        assert torch.equal(moved["labels"][~pitches], still["labels"][~pitches])
        difference = (moved["labels"] - still["labels"])[pitches]
        by = torch.stack([d[p].float().mean() for d, p in zip(moved["labels"] - still["labels"], pitches, strict=True)])
        assert torch.equal(difference, by.long()[:, None, None].expand_as(pitches)[pitches])
        found = (still["match_lengths"].sum(-1) > 0)[..., None] & (still["retrieved"] < data.tokenizer.end_id)
        assert torch.equal(moved["match_lengths"], still["match_lengths"])
        assert torch.equal(
            (moved["retrieved"] - still["retrieved"])[found],
            by.long()[:, None, None, None].expand_as(found)[found],
        )
        assert found.float().mean() > 0.3
        ups |= set(by.tolist())
    assert ups == ({*map(float, range(-6, 6))} if order == "falling" else {*map(float, range(-5, 7))})
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])  # every piece once in a pass


def test_transpositions_stay_in_the_range() -> None:
    pieces = made_up_chorales(3, seed=0)
    pitches = [pitch for piece in pieces for frame in piece.frames for pitch in frame]
    tokenizer = FrameTokenizer(min(pitches) - 1, max(pitches) + 2)
    rows = ChoraleTrainRows(pieces, tokenizer, None, None, (-5, 6), seed=0)
    assert all({-1, 0, 1, 2} <= set(ups) for ups in rows.ups)
    labels = rows.__getitems__(range(300))["labels"]
    assert labels.max() <= tokenizer.end_id
    assert set(labels.unique().tolist()) >= {0, tokenizer.num_pitches - 1}  # and reach its ends
    assert labels.min() == IGNORED


def test_a_row_is_the_same_in_any_batch_and_follows_the_seed() -> None:
    data = ready(seq_len=10)
    assert data.train_set is not None
    whole = data.train_set.__getitems__(range(200, 260))
    for row in (200, 231, 259):
        for name, value in data.train_set[row].items():
            assert torch.equal(value, whole[name][row - 200]), name
    assert whole["labels"].shape == (60, 10, 4)
    assert len(set(whole["position"].tolist())) > 5
    data.load_state_dict({"seed": 1, "epoch": 0, "rows": 0})
    assert data.train_set[200]["index"] == 200  # a given seed stays
    free = ready(seed=None)
    free.load_state_dict({"seed": 77, "epoch": 0, "rows": 0})
    free.train_dataloader()
    assert free.train_set.seed == 77  # type: ignore[union-attr]


def test_a_window_knows_the_frame_before_it_and_its_place() -> None:
    data = ready(seq_len=10, transpose_down=0, transpose_up=0)
    known = [piece.frames for piece in data.chorales["train"]]
    batch = data.train_set.__getitems__(range(60))  # type: ignore[union-attr]
    for inputs, labels, start in zip(batch["input_ids"], batch["labels"], batch["position"].tolist(), strict=True):
        asked = frames_of(labels, data.tokenizer)
        assert any(list(frames[start : start + 10]) == asked for frames in known)
        if start == 0:
            assert (inputs[0] == data.tokenizer.start_id).all()
        else:
            before = data.tokenizer.decode(inputs[:1].numpy())
            assert any(list(frames[start - 1 : start + 10]) == before + asked for frames in known)


def test_files_of_ones_own_and_what_does_not_fit(tmp_path: Path) -> None:
    file = tmp_path / "own.json"
    file.write_text(json.dumps({"train": [[[60]]], "valid": [[[61]]], "test": [[[62], [1]]]}))
    data = ready("fit", path=str(file))
    assert data.train_set is not None
    assert len(data.train_set) == 1
    with pytest.raises(ValueError, match=r"^lowest 21 .* \(the piece is test 0\)"):
        data.setup("test")
    for wrong in ({"retrieved": 1}, {"seq_len": 0}, {"samples": 0}, {"prompt_frames": -1}):
        (name,) = wrong
        with pytest.raises(ValueError, match=rf"^{name}"):
            ready("fit", **wrong)
    for name, value, message in (("frame_size", 0, "frame_size must"), ("lowest", 120, "highest must be at least 120")):
        with pytest.raises(ValueError, match=rf"^tokens\.{message}"):
            ready("fit", tokens={name: value})


def beginnings(data: ChoraleFramesDataModule) -> ChoralePrompts:
    dataset = data.predict_dataloader().dataset
    assert isinstance(dataset, ChoralePrompts)
    return dataset


def test_predict_begins_from_nothing_or_from_test_pieces_and_needs_no_index(tmp_path: Path) -> None:
    batch = beginnings(ready("predict", samples=3)).__getitems__([0, 2])
    assert [len(ids) for ids in batch["prompt_ids"]] == [0, 0]
    assert batch["prompts"] == ["", ""]
    assert len(batch["retrievers"]) == 2
    data = ready("predict", prompt_frames=5, samples=12, retrieved=0)
    batch = beginnings(data).__getitems__([11])
    assert batch["prompts"] == [data.chorales["test"][1].name]
    assert data.tokenizer.decode(batch["prompt_ids"][0].numpy()) == list(data.chorales["test"][1].frames[:5])
    assert "retrievers" not in batch
    data.write_midi(tmp_path / "a.mid", Piece("a", (Note(0, 60, 24),)))
    assert (tmp_path / "a.mid").read_bytes()[:4] == b"MThd"


def test_predict_is_reminded_of_what_the_checkpoint_holds() -> None:
    trained, alone = ready("fit"), ready("predict", path="gone.json")
    with pytest.raises(FileNotFoundError, match=r"^path gone\.json"):
        alone.predict_dataloader()
    alone.load_state_dict(trained.state_dict())
    (listener,) = beginnings(alone).__getitems__([0])["retrievers"]
    expected = Retriever(trained.index)
    for frame in trained.chorales["test"][0].frames:
        listener.append(frame)
        expected.append(frame)
        for got, wanted in zip(listener.retrieved(), expected.retrieved(), strict=True):
            assert np.array_equal(got, wanted)
    assert expected.retrieved()[1].any()
    assert "indexed" not in ready("fit", retrieved=0).state_dict()
    with pytest.raises(ValueError, match="damaged"):
        alone.load_state_dict({"seed": 0, "indexed": {"frames": [], "lengths": []}})


def test_without_retrieval_rows_have_none() -> None:
    batch = ready(retrieved=0).train_set.__getitems__([0])  # type: ignore[union-attr]
    assert batch.keys() == {"input_ids", "labels", "position", "index"}
    assert np.isin(batch["labels"][batch["labels"] != IGNORED].numpy(), np.arange(89)).all()
