"""Hashes of the last words: equal exactly where the words are, of any row, and the same a token at a time."""

import random
import re

import numpy as np
import pytest
import torch
from torch import Tensor

from seq_modules.adaptation.contexts import WordContexts
from seq_modules.nets.hashing.hashed_ngrams import NgramEmbedding
from seq_modules.nets.hashing.word_hashes import REACH, WordHashes

PIECES = sorted(set("abAB, \n'1"))
WORDS = (0, 1, 2)


def ids_of(text: str, pieces: list[str] = PIECES) -> Tensor:
    return torch.tensor([[pieces.index(character) for character in text]])


def hashes(ids: Tensor, words: tuple[int, ...] = WORDS, pieces: list[str] = PIECES) -> Tensor:
    net = WordHashes(len(pieces), words, 70)
    net.set_pieces(pieces)
    return net(ids)


def last_words(text: str, count: int) -> tuple[str, ...]:
    """The word at the end of a text, which may be empty, and as many words before it, by a regular expression."""
    words = re.split(r"[^a-z0-9]+", text.lower())
    words = words[1:] if words[0] == "" and len(words) > 1 else words  # what stands before the first word is none
    return tuple(words[-count - 1 :])


def test_hashes_are_equal_exactly_where_the_last_words_are() -> None:
    draw = random.Random(0)
    texts = ["".join(draw.choices(PIECES, weights=[3, 1, 1, 1, 3, 3, 6, 6, 2], k=REACH)) for _ in range(12)]
    found = torch.stack([hashes(ids_of(text))[0] for text in texts])  # (texts, T, N)
    for number, count in enumerate(WORDS):
        contexts: dict[int, set[tuple[str, ...]]] = {}
        values: dict[tuple[str, ...], set[int]] = {}
        for text, row in zip(texts, found[..., number].tolist(), strict=True):
            for end in range(4, REACH):  # the first letters may all be the first word
                words = last_words(text[: end + 1], count)
                if len(words) == count + 1:
                    contexts.setdefault(row[end], set()).add(words)
                    values.setdefault(words, set()).add(row[end])
        assert len(values) > 10
        assert all(len(each) == 1 for each in (*contexts.values(), *values.values()))


def test_they_agree_with_those_of_a_whole_text() -> None:
    rng = np.random.default_rng(0)
    pieces = ["\u2581a", "b", "\u2581C", "\u2581c", ".", "\u2581.", "d"]  # of subwords
    ids = rng.integers(0, len(pieces), 30)
    ours = hashes(torch.from_numpy(ids)[None], pieces=pieces)[0].T
    theirs = [each[1:] for each in WordContexts(pieces, WORDS)(ids)]
    for one, other in zip(ours.numpy(), theirs, strict=True):
        assert ((one[:, None] == one) == (other[:, None] == other)).all()


def test_they_know_nothing_of_later_tokens_nor_of_those_out_of_reach() -> None:
    text = "a" * 3 + " " + "b" * (REACH - 1) + "a, b a"
    whole = hashes(ids_of(text))
    assert torch.equal(hashes(ids_of(text[:20])), whole[:, :20])
    changed = hashes(ids_of("b" + text[1:]))
    assert not torch.equal(changed[:, :4], whole[:, :4])
    assert torch.equal(changed[:, REACH:], whole[:, REACH:])
    assert (whole >= 0).all()
    assert (whole < 2**31).all()


@pytest.mark.parametrize("words", [None, [0], [1, 0]])
def test_rows_of_the_newest_tokens_are_those_of_all(words: list[int] | None) -> None:
    contexts = None if words is None else WordHashes(len(PIECES), words, 70)
    if contexts is not None:
        contexts.set_pieces(PIECES)
    net = NgramEmbedding(8, [2, 4], buckets=97, dim=3, dropout=0.0, words=contexts)
    ids = torch.randint(len(PIECES), (3, 70), generator=torch.Generator().manual_seed(0))
    rows = net.hashes(ids)
    assert rows.shape == (3, 70, 2 + len(words or ()))
    assert int(rows.max()) < 97
    for begin in range(69):
        for end in (begin + 1, min(begin + 5, 70)):
            assert torch.equal(net.newest(ids, slice(begin, end)), rows[:, begin:end])
    positions = torch.tensor([[0, 1], [33, 60], [68, 69]])
    assert torch.equal(net.newest(ids, positions), rows[torch.arange(3)[:, None], positions])
    assert net(rows).shape == (3, 70, 8)


def test_numbers_and_vocabularies_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^words must be different and at least 0"):
        WordHashes(5, [1, 1], 8)
    with pytest.raises(ValueError, match=r"^vocab_size 5 is not the tokenizer's 9"):
        WordHashes(5, [0], 8).set_pieces(PIECES)
