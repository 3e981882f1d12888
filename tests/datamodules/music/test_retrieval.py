"""Retrieval finds the longest matches, against a slow search; nothing is retrieved from the piece itself."""

import random

import numpy as np
import pytest

from datamodules.music.retrieval import MAX_MATCH, RetrievalIndex, Retriever
from datamodules.music.sources.jsb_files import Chorale, Frame, made_up_chorales
from datamodules.tokenizers.music.frame import FrameTokenizer

TOKENIZER = FrameTokenizer()


def noise(seed: int, frames: int) -> Chorale:
    """Four pitches close together, so that short runs agree by chance; silence here and there."""
    rng = random.Random(seed)
    drawn = [tuple(sorted(rng.sample(range(60, 65), rng.choice((0, 2, 2, 2, 2))))) for _ in range(frames)]
    return Chorale(f"noise {seed}", tuple(drawn))


def run(a: list[Frame], b: list[Frame], whole: bool) -> int:
    """How many last steps of two pieces agree, one frame after the other from the end."""
    count = 0
    for at in range(1, min(len(a), len(b))):
        (x, x0), (y, y0) = (a[-at], a[-at - 1]), (b[-at], b[-at - 1])
        if not (x and x0 and y and y0) or x[-1] - x0[-1] != y[-1] - y0[-1]:
            break
        if whole and [x[-1] - p for p in x] != [y[-1] - p for p in y]:
            break
        count += 1
    return min(count, MAX_MATCH)


def search(pieces_of: list[Chorale], member: int | None, appended: list[Frame]) -> list[tuple[int, int, Frame]]:
    """Runs of the melody and of the texture, and the next frame in this key, of every position with two intervals."""
    found = []
    pieces = [list(piece.frames) for number, piece in enumerate(pieces_of) if number != member]
    for piece in [*pieces, appended]:
        for end in range(1, len(piece)):
            past = piece[:end]
            if (melody := run(past, appended, False)) >= 2:
                up = appended[-1][-1] - past[-1][-1]
                found.append((melody, run(past, appended, True), tuple(pitch + up for pitch in piece[end])))
    return found


@pytest.mark.parametrize("member", [None, 1])
def test_it_retrieves_the_longest_runs_that_a_slow_search_finds(member: int | None) -> None:
    corpus = [noise(seed, 30) for seed in range(4)]
    index = RetrievalIndex(corpus, TOKENIZER, 6)
    piece = corpus[member] if member is not None else noise(9, 30)
    ids, runs = index.retrieve_all(piece, member)
    assert ids.shape == (30, 6, 4)
    assert not runs[:3].any() or member is None  # two intervals need three frames
    most = 0
    for t in range(30):
        found = search(corpus, member, list(piece.frames[:t]))
        frames = TOKENIZER.decode(ids[t])
        given = [(int(m), int(x), f) for (m, x), f in zip(runs[t], frames, strict=True) if m]
        assert len(given) == min(6, len(found))
        assert all(one in found for one in given)
        by_melody = sorted(((m, x) for m, x, _ in found), reverse=True)[:3]
        assert [(m, x) for m, x, _ in given[:3]] == by_melody
        if found:
            assert max((x, m) for m, x, _ in found) in [(x, m) for m, x, _ in given]
        most = max(most, len(found))
    assert most > 6  # more than it takes


def test_a_tune_in_another_key_is_retrieved_note_for_note_and_a_piece_not_to_itself() -> None:
    corpus = made_up_chorales(4, seed=1)  # the last one sets the first one's tune
    up = corpus[3].frames[0][-1] - corpus[0].frames[0][-1]
    index = RetrievalIndex(corpus, TOKENIZER, 2)
    ids, runs = index.retrieve_all(corpus[0], member=0)
    for t in range(12, len(corpus[0].frames)):
        assert runs[t, 0].tolist() == [min(t - 1, MAX_MATCH)] * 2
        assert TOKENIZER.decode(ids[t])[0] == corpus[0].frames[t]
    assert up == corpus[3].frames[5][0] - corpus[0].frames[5][0]
    alone = RetrievalIndex(corpus[:3], TOKENIZER, 2)
    assert alone.retrieve_all(corpus[0], member=0)[1].max() < len(corpus[0].frames) - 2
    assert alone.retrieve_all(corpus[0])[1].max() == min(len(corpus[0].frames) - 2, MAX_MATCH)


def test_a_retriever_hears_its_own_past_and_nothing_of_the_future() -> None:
    index = RetrievalIndex([noise(0, 5)], TOKENIZER, 2)
    phrase: list[Frame] = [(60, 70), (60, 72), (59, 74), (57, 65)]
    retriever = Retriever(index)
    for frame in (*phrase, *phrase[:3]):
        retriever.append(frame)
    ids, runs = retriever.retrieved()
    assert TOKENIZER.decode(ids)[0] == phrase[3]
    assert runs[0].tolist() == [2, 2]
    piece = noise(7, 20)
    other = Chorale("other", (*piece.frames[:12], *noise(8, 8).frames))
    for a, b in zip(index.retrieve_all(piece), index.retrieve_all(other), strict=True):
        np.testing.assert_array_equal(a[:13], b[:13])


def test_what_leaves_the_range_is_not_retrieved() -> None:
    corpus = [Chorale("low", ((50, 60), (50, 62), (50, 64), (40, 66)))]
    narrow = FrameTokenizer(lowest=40, highest=70)
    retriever = Retriever(RetrievalIndex(corpus, narrow, 2))
    for frame in [(45, 58), (45, 60), (45, 62)]:  # two semitones lower: 38 would come next
        retriever.append(frame)
    assert not retriever.retrieved()[1].any()
    with pytest.raises(ValueError, match=r"^retrieved must be at least 2"):
        RetrievalIndex(corpus, narrow, 1)
