"""Batches of pairs: padding, masks, the labels' shift; every row once, in one compact array."""

import numpy as np
import pytest
import torch

from datamodules.seq2seq.pairs import CHUNK, IdRows, PairRows, pad_pairs
from datamodules.tokenizers import CharTokenizer, TokenizerPair
from seqlight.core.labels import BOS, EOS, IGNORED, PAD

SIDE = TokenizerPair(CharTokenizer("abcdefgh")).source
SOURCES = ["abc", "", "h", "dd"]
TARGETS = ["a", "bbbb", "", "cd"]


def rows(batch_rows: int = 1) -> PairRows:
    return PairRows(
        IdRows.encode(SIDE, SOURCES, "x"), IdRows.encode(SIDE, TARGETS, "x"), SOURCES, TARGETS, batch_rows=batch_rows
    )


def test_a_batch_is_padded_on_the_right_with_ends_and_shifted_labels() -> None:
    batch = rows().__getitems__([0, 1, 3])
    assert batch["source_ids"].tolist() == [[4, 5, 6, EOS], [EOS, PAD, PAD, PAD], [7, 7, EOS, PAD]]
    assert batch["source_mask"].tolist() == [[True] * 4, [True, False, False, False], [True, True, True, False]]
    assert batch["target_ids"].tolist() == [[BOS, 4, PAD, PAD, PAD], [BOS, 5, 5, 5, 5], [BOS, 6, 7, PAD, PAD]]
    assert batch["labels"].tolist() == [
        [4, EOS, IGNORED, IGNORED, IGNORED], [5, 5, 5, 5, EOS], [6, 7, EOS, IGNORED, IGNORED],
    ]  # fmt: skip
    assert batch["index"].tolist() == [0, 1, 3]
    assert (batch["sources"], batch["references"]) == (["abc", "", "dd"], ["a", "bbbb", "cd"])
    assert {batch[name].dtype for name in ("source_ids", "target_ids", "labels", "index")} == {torch.int64}


def test_without_targets_and_texts_a_batch_has_neither() -> None:
    alone = PairRows(IdRows.encode(SIDE, SOURCES, "x"))
    assert set(alone.__getitems__([2])) == {"source_ids", "source_mask", "index"}
    assert alone.lengths.tolist() == [[4], [1], [2], [3]]
    assert rows().lengths.tolist() == [[4, 2], [1, 5], [2, 1], [3, 3]]


def test_evaluation_has_every_row_once_in_batches_of_like_length() -> None:
    generator = np.random.default_rng(0)
    texts = ["a" * length for length in generator.integers(1, 40, 203)]
    made = PairRows(IdRows.encode(SIDE, texts, "x"), texts=texts, batch_rows=8)
    batches = [made.__getitems__(range(at, min(at + 8, 203))) for at in range(0, 203, 8)]
    assert sorted(row for batch in batches for row in batch["index"].tolist()) == list(range(203))
    for batch in batches[:-1]:
        lengths = batch["source_mask"].sum(1)
        assert lengths.max() - lengths.min() <= 4
        assert batch["sources"] == [texts[row] for row in batch["index"]]


def test_many_texts_are_encoded_in_chunks_into_one_array() -> None:
    texts = ["abc", "", "h"] * CHUNK
    made = IdRows.encode(SIDE, texts, "x")
    assert made.ids.dtype == np.uint16
    assert len(made.ids) == 4 * CHUNK
    for row in (0, 1, 2, CHUNK - 1, CHUNK, 3 * CHUNK - 1):
        assert made[row].tolist() == SIDE.encode(texts[row])
    taken = made.take(np.array([2, 0, 1]))
    assert [taken[row].tolist() for row in range(3)] == [[11], [4, 5, 6], []]
    assert len(IdRows.encode(SIDE, [], "x")) == 0


def test_ids_beyond_sixteen_bits_are_kept() -> None:
    side = TokenizerPair(CharTokenizer("".join(map(chr, range(0x10000, 0x10000 + 70_000))))).source
    last = chr(0x10000 + 69_999)
    made = IdRows.encode(side, [last], "x")
    assert made[0].tolist() == [side.vocab_size - 1]
    assert pad_pairs([made[0]], [made[0]], np.array([7]))["labels"].tolist() == [[side.vocab_size - 1, EOS]]
    assert made.ids.dtype == np.int32


@pytest.mark.parametrize("batch_rows", [1, 2])
def test_a_single_row_is_a_batch_of_one(batch_rows: int) -> None:
    made = rows(batch_rows)
    row = made[0]
    assert row["source_ids"].ndim == 1
    assert row["sources"] == SOURCES[int(row["index"])]
