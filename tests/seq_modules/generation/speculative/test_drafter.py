"""Guesses against n-grams that are counted in the obvious way."""

from collections import Counter, defaultdict

import pytest
import torch

from seq_modules.generation.speculative.drafter import LONGEST, REPEATED, NgramDrafter, common_followers


def ngrams(ids: list[int], order: int) -> list[tuple[tuple[int, ...], int]]:
    """Each n-gram of that order, and what follows it."""
    return [(tuple(ids[end - order : end]), ids[end]) for end in range(order, len(ids))]


def test_the_most_frequent_follower_of_the_longest_known_ngram_is_guessed() -> None:
    text = torch.randint(6, (900,), generator=torch.Generator().manual_seed(0))
    counts: defaultdict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    for order in range(1, LONGEST + 1):
        for ngram, token in ngrams(text.tolist(), order):
            counts[ngram][token] += 1
    most = {ngram: max(counter.values()) for ngram, counter in counts.items()}
    best = {  # several, if they are as frequent
        ngram: [token for token, count in counter.items() if count == most[ngram]]
        for ngram, counter in counts.items()
        if most[ngram] >= REPEATED
    }
    followers = common_followers(text)
    for seed in range(100):  # rows in which nothing comes twice
        ids = torch.randperm(6, generator=torch.Generator().manual_seed(seed)).tolist()
        guesses = NgramDrafter(followers).draft(0, ids, 2)
        for token in guesses:
            longest = next(ngram for n in range(LONGEST, 0, -1) if (ngram := tuple(ids[-n:])) in best)
            assert token in best[longest]
            ids.append(token)


def test_rows_are_guessed_from_what_came_first_in_any_of_them() -> None:
    drafter, rows = NgramDrafter(), [[1, 2, 3], [5, 1, 2]]
    assert drafter.draft(0, rows[0], 3) == []  # nothing has followed a 3
    assert drafter.draft(1, rows[1], 3) == [3]
    rows[0] += [4, 1, 2, 9, 3]
    assert drafter.draft(0, rows[0], 3) == [4, 1, 2]
    assert drafter.draft(1, [*rows[1], 9], 9) == [3, 4, 1, 2, 9, 3, 4, 1, 2]  # 1, 2 was followed by 3 at first
    assert drafter.draft(2, [7, 4, 1, 2], 1) == [9]  # and 4, 1, 2 by 9
    assert drafter.draft(2, [7, 4, 1, 2], 0) == []


def test_another_text_goes_before_rows_unless_they_know_a_longer_ngram() -> None:
    followers = common_followers(torch.tensor([1, 2, 6, 1, 2, 6, 0, 7, 0, 8]))
    drafter = NgramDrafter(followers)
    assert drafter.draft(0, [1, 2], 2) == [6]  # once is too seldom: 1 after 6, 0 after 6, and what follows a 0
    assert drafter.draft(0, [1, 2, 3, 9, 1, 2, 3, 8, 4, 2], 1) == [6]
    assert drafter.draft(1, [9, 1, 2], 1) == [3]


@pytest.mark.parametrize("size", [0, 1, 2])
def test_a_short_text_has_no_followers(size: int) -> None:
    assert common_followers(torch.zeros(size, dtype=torch.long)) == {}
