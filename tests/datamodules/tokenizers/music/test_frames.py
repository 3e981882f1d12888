"""Frames as ids: round trips in both orders, and invalid frames and states are refused."""

import numpy as np
import pytest

from datamodules import tokenizers
from datamodules.tokenizers import FrameTokenizer

FRAMES = [(60, 64, 67, 72), (), (21,), (48, 108)]


@pytest.mark.parametrize("order", ["falling", "rising"])
def test_round_trip_with_ids_in_order(order: str) -> None:
    tokenizer = FrameTokenizer(order=order)
    ids = tokenizer.encode([frame[::-1] for frame in FRAMES])
    assert ids.shape == (4, 4)
    for row, frame in zip(ids, FRAMES, strict=True):
        assert (np.diff(row[: len(frame)]) > 0).all()
        assert (row[: len(frame)] < tokenizer.end_id).all()
        assert (row[len(frame) :] == tokenizer.end_id).all()
    assert tokenizer.decode(ids) == FRAMES
    first = 72 if order == "falling" else 60
    assert tokenizer.decode(ids[:1, :1]) == [(first,)]


def test_any_ids_decode() -> None:
    tokenizer = FrameTokenizer(60, 64, 3)
    assert tokenizer.decode(np.array([[6, 0, 1], [2, 1, 2], [5, 0, 0], [-1, 3, 2], [0, 99, 1]])) == [
        (), (62, 63), (), (), (64,),
    ]  # fmt: skip


def test_invalid_frames_are_refused_by_name() -> None:
    tokenizer = FrameTokenizer(60, 64, 2)
    with pytest.raises(ValueError, match=r"^frame_size 2: frame 1 holds 3 pitches"):
        tokenizer.encode([(60,), (60, 61, 62)])
    with pytest.raises(ValueError, match=r"^lowest 60 and highest 64: frame 0, \[59\]"):
        tokenizer.encode([(59,)])
    for wrong in ({"lowest": 70, "highest": 60}, {"highest": 128}, {"frame_size": 0}, {"order": "sideways"}):
        with pytest.raises(ValueError, match=r"^(lowest|highest|frame_size|order)"):
            FrameTokenizer(**wrong)  # type: ignore[arg-type]


def test_the_state_restores_the_tokenizer_and_an_invalid_one_is_refused() -> None:
    tokenizer = FrameTokenizer(30, 90, 5, "rising")
    again = tokenizers.from_state(tokenizer.state())
    assert isinstance(again, FrameTokenizer)
    assert again.fingerprint == tokenizer.fingerprint != FrameTokenizer(30, 90, 5).fingerprint
    assert again.encode([(30, 40)]).tolist() == tokenizer.encode([(30, 40)]).tolist()
    for key, value in (("lowest", "30"), ("frame_size", 2.5), ("order", ["rising"])):
        with pytest.raises(ValueError, match=r"^(lowest|highest|frame_size|order)"):
            tokenizers.from_state({**tokenizer.state(), key: value})
