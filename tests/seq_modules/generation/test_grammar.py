"""The grammar of REMI: all that the tokenizer writes may be drawn, and what is drawn the tokenizer would write."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.tokenizers import RemiTokenizer
from seq_modules.generation.grammar import FOLLOWS, TokenRules
from seqlight.music.notes import Note, Piece

pytest.importorskip("miditok")

CLOSE = st.lists(  # of few pitches and onsets, so that there are unisons
    st.builds(Note, st.integers(0, 200), st.integers(50, 60), st.integers(1, 300)), min_size=1, max_size=20
).map(lambda notes: tuple(sorted(notes)))


def rules_of(tokenizer: RemiTokenizer, may_end: bool = True, low: int = 0, high: int = 127) -> TokenRules:
    allowed = [pitch is None or low <= pitch <= high for pitch in tokenizer.pitches]
    bar = -tokenizer.origin if tokenizer.one_voice else None
    return TokenRules(tokenizer.kinds, tokenizer.values, tokenizer.end_id, allowed, may_end, bar)


def test_it_is_miditoks_and_stricter() -> None:
    graph = RemiTokenizer(50, 60, False)._miditok.tokens_types_graph
    assert all(after <= graph[kind] for kind, after in FOLLOWS.items() if kind != "EOS")


def test_a_row_that_is_over_goes_on_unseen() -> None:
    tokenizer = RemiTokenizer(50, 60, True)
    rules = rules_of(tokenizer)
    rules.begin([[(tokenizer.start_id,)]])
    rules.follow(torch.tensor([[tokenizer.end_id]]))
    assert rules.mask(0, [], torch.tensor([[tokenizer.end_id]]), False).sum() == 1


@settings(max_examples=30, deadline=None)
@given(CLOSE, st.booleans())
def test_what_the_tokenizer_writes_may_be_drawn(notes: tuple[Note, ...], one_voice: bool) -> None:
    tokenizer = RemiTokenizer(50, 60, one_voice)
    rules = rules_of(tokenizer)
    rules.begin([[(tokenizer.start_id,)]])
    before = torch.tensor([[tokenizer.start_id]])
    for number, token in enumerate([*tokenizer.encode(Piece("", notes))[:, 0].tolist(), tokenizer.end_id]):
        assert rules.mask(0, [], before, number == 0)[0, token], tokenizer.vocabulary[token]
        before = torch.tensor([[token]])
        rules.follow(before)


@settings(max_examples=30, deadline=None)
@given(CLOSE, st.integers(0, 2**32), st.booleans())
def test_what_is_drawn_the_tokenizer_would_write(prompt: tuple[Note, ...], seed: int, one_voice: bool) -> None:
    """Two rows, one from a prompt: never stuck, in order, and in one voice no two notes together."""
    tokenizer, draw = RemiTokenizer(50, 60, one_voice), random.Random(seed)
    rules = rules_of(tokenizer, may_end=False, low=52, high=57)
    given_ids = tokenizer.encode(Piece("", prompt))
    rows = [[(tokenizer.start_id,)], [(tokenizer.start_id,), *map(tuple, given_ids.tolist())]]
    rules.begin(rows)
    for step in range(60):
        mask = rules.mask(0, [], torch.tensor([row[-1] for row in rows]), step == 0)
        kinds = [sorted({tokenizer.kinds[i] for i in row.nonzero().flatten().tolist()}) for row in mask]
        chosen = []
        for row, of_row in zip(mask, kinds, strict=True):  # a kind first, or there would be few bars
            kind = draw.choice(of_row)
            chosen.append(draw.choice([i for i in row.nonzero().flatten().tolist() if tokenizer.kinds[i] == kind]))
        rules.follow(torch.tensor(chosen)[:, None])
        for row, token in zip(rows, chosen, strict=True):
            row.append((token,))
    for row, given_count in zip(rows, (0, len(given_ids)), strict=True):
        new = [tokenizer.pitches[token] for (token,) in row[1 + given_count :]]
        assert all(pitch is None or 52 <= pitch <= 57 for pitch in new)
        tokens = row[1:]
        while tokens and tokenizer.kinds[tokens[-1][0]] != "Duration":
            tokens.pop()  # a note, or a bar, that was only begun
        ids = np.array(tokens, dtype=np.int64).reshape(-1, 1)
        assert tokenizer.encode(tokenizer.decode(ids)).tolist() == ids.tolist()
        assert len(tokenizer.decode(ids).notes) == len(
            ids[np.isin(ids, [tokenizer.pitches.index(p) for p in range(50, 61)])]
        )


def test_the_end_comes_behind_a_whole_note_alone() -> None:
    tokenizer = RemiTokenizer(50, 60, False)
    for may_end in (True, False):
        rules = rules_of(tokenizer, may_end)
        rows = [[(tokenizer.start_id,)]]
        for (token,) in tokenizer.encode(Piece("", (Note(0, 55, 24), Note(30, 55, 24)))).tolist():
            rows.append([*rows[-1], (token,)])
        rules.begin(rows)
        can = rules.mask(0, [], torch.tensor([row[-1] for row in rows]), False)[:, tokenizer.end_id].tolist()
        kinds = [tokenizer.kinds[row[-1][0]] for row in rows]
        assert can == [kind == "Duration" and may_end for kind in kinds]
        assert not rules.mask(0, [], torch.tensor([row[-1] for row in rows]), True)[:, tokenizer.end_id].any()
    with pytest.raises(ValueError, match="no pitch is left"):
        rules_of(tokenizer, low=90)
