"""Generation with a cache against the naive way, which reads the whole window again for every token."""

from typing import Any

import pytest
import torch
from torch import Tensor

from seq_modules.nets.hashing.word_hashes import WordHashes
from seq_modules.nets.transformer.cache import KVCache
from seq_modules.nets.transformer.gpt import GPT, GPTConfig
from seq_modules.nets.transformer.gpt_extras import ExtrasConfig, NgramConfig

V, D, L, H, S = 17, 16, 3, 2, 12
OPTIONS: dict[str, dict[str, Any]] = {
    "learned": {},
    "sinusoidal": {"positions": "sinusoidal"},
    "rotary": {"positions": "rotary"},
    "alibi": {"positions": "alibi"},
    "none": {"positions": "none"},
    "rms": {"norm": "rms"},
    "gelu": {"activation": "gelu"},
    "swiglu": {"activation": "swiglu"},
    "relu2": {"activation": "relu2"},
    "qk_norm": {"extras": ExtrasConfig(qk_norm=True), "positions": "rotary"},
    "ngrams": {"ngrams": NgramConfig([2, 3, 4], buckets=64, dim=4)},
    "words": {"ngrams": NgramConfig([2], buckets=64, dim=4, words=[1, 0])},
    "values": {"extras": ExtrasConfig(value_embeddings=True)},
    "mix": {"extras": ExtrasConfig(residual_mix=True, logit_softcap=3.0), "tie_weights": False},
    "all": {
        "positions": "rotary",
        "norm": "rms",
        "activation": "relu2",
        "bias": False,
        "tie_weights": False,
        "attention": "eager",
        "ngrams": NgramConfig([4, 2], buckets=64, dim=4),
        "extras": ExtrasConfig(qk_norm=True, value_embeddings=True, residual_mix=True, logit_softcap=15.0),
    },
}


def make(name: str, slots: int = S) -> GPT:
    torch.manual_seed(0)
    config = GPTConfig(D, L, H, slots, **OPTIONS[name])
    net = GPT(V, config).double().eval()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    for part in net.modules():
        if isinstance(part, WordHashes):
            part.set_pieces("abcABC ., def1234")
    return net


def naive(net: GPT, ids: list[int]) -> Tensor:
    return net(torch.tensor([net.window(ids)]))[0, -1]


def pad(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Rows padded on the right with a token that would be noticed, and their lengths."""
    lengths = torch.tensor([len(row) for row in rows])
    return torch.tensor([row + [V - 1] * (int(lengths.max()) - len(row)) for row in rows]), lengths


@torch.no_grad()
def check(net: GPT, lengths: list[int], steps: int) -> None:
    """Logits of every row and step with the cache against the naive ones, of random tokens."""
    generator = torch.Generator().manual_seed(3)
    rows = [torch.randint(V, (length,), generator=generator).tolist() for length in lengths]
    logits, state = net.prefill(*pad(rows))
    for _ in range(steps):
        expected = torch.stack([naive(net, row) for row in rows])
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-10)
        ids = torch.randint(V, (len(rows),), generator=generator)
        for row, token in zip(rows, ids.tolist(), strict=True):
            row.append(token)
        logits, state = net.decode_step(ids, state)


@pytest.mark.parametrize("name", OPTIONS)
def test_cache_equals_naive_past_the_context(name: str) -> None:
    check(make(name), [1], 3 * S)
    check(make(name), [S - 1] * 3, 5)


@pytest.mark.parametrize("name", OPTIONS)
def test_rows_of_different_lengths_slide_each_by_itself(name: str) -> None:
    check(make(name), [1, 5, S, S + 1, 3 * S + 2], 2 * S)


@torch.no_grad()
@pytest.mark.parametrize("name", ["learned", "alibi", "ngrams", "all"])
@pytest.mark.parametrize("lengths", [[2], [1, 5, S - 1, S, 3 * S + 2], [4] * 9], ids=["one", "unequal", "equal"])
def test_tokens_that_are_read_together_and_forgotten_again(name: str, lengths: list[int]) -> None:
    """Each row's last tokens are forgotten, and others are read in their place; then it is as if they never were."""
    net, generator = make(name), torch.Generator().manual_seed(3)
    rows = [torch.randint(V, (length,), generator=generator).tolist() for length in lengths]
    _, state = net.prefill(*pad(rows))
    for step in range(8):
        free_slots = net.free_slots(state)
        assert min(free_slots) >= 1
        counts = [min(1 + (step + row) % 4, free) if step % 3 else 1 for row, free in enumerate(free_slots)]
        new = [torch.randint(V, (count,), generator=generator).tolist() for count in counts]
        ids = torch.tensor([[*row, *row[-1:] * (max(counts) - len(row))] for row in new])
        logits, state = net.extend(ids, counts, state)
        for row, tokens, found in zip(rows, new, logits, strict=True):
            row += tokens
            expected = net(torch.tensor([net.window(row)]))[0, -len(tokens) :]
            torch.testing.assert_close(found[: len(tokens)], expected, rtol=0, atol=1e-10)
        forgotten = [(step * row) % count for row, count in enumerate(counts)]
        state = net.crop(forgotten, state)
        rows = [row[: len(row) - count] for row, count in zip(rows, forgotten, strict=True)]


@pytest.mark.parametrize("slots", [1, 2, 3, 7])
def test_small_and_odd_contexts(slots: int) -> None:
    for name in ("learned", "alibi", "ngrams", "all"):
        check(make(name, slots), [1], 12)
        check(make(name, slots), [3, 1, 8], 12)


def test_a_row_does_not_depend_on_its_batch() -> None:
    net = make("all")
    rows = [[1, 2, 3], [4], list(range(15))]
    together, state = net.prefill(*pad(rows))
    alone = [net.prefill(*pad([row])) for row in rows]
    for token in range(20):
        for at, (logits, _) in enumerate(alone):
            torch.testing.assert_close(together[at], logits[0], rtol=0, atol=1e-10)
        together, state = net.decode_step(torch.tensor([token % V] * 3), state)
        alone = [net.decode_step(torch.tensor([token % V]), one) for _, one in alone]


@pytest.mark.parametrize("prefix_len", [1, 3])
def test_the_prefix_stays_in_the_context(prefix_len: int) -> None:
    for name in ("learned", "alibi", "all"):
        net = make(name)
        net.prefix_len = prefix_len
        ids = list(range(100, 130))
        assert net.window(ids)[:prefix_len] == ids[:prefix_len]
        assert net.window(ids)[prefix_len:] == ids[len(ids) - len(net.window(ids)) + prefix_len :]
        assert len(net.window(ids)) <= S
        check(net, [1, 5, S, S + 1, 3 * S + 2], 2 * S)


def test_the_window_slides_by_half_a_context() -> None:
    net = make("learned", 8)
    ids = list(range(100))
    for length in range(1, 100):
        starts = [start for start in range(0, 100, 4) if length - start <= 8]
        assert net.window(ids[:length]) == ids[starts[0] : length]
    assert len(net.window(ids[:9])) == 5


def test_greedy_tokens_in_float32_are_the_naive_ones() -> None:
    net = make("all").float()
    rows = [[1], [2, 3, 4, 5]]
    logits, state = net.prefill(*pad(rows))
    for _ in range(40):
        ids = logits.argmax(-1)
        assert ids.tolist() == [naive(net, row).argmax().item() for row in rows]
        for row, token in zip(rows, ids.tolist(), strict=True):
            row.append(token)
        logits, state = net.decode_step(ids, state)


@pytest.mark.parametrize("lengths", [[2, 2], [2, 5]], ids=["equal", "unequal"])
def test_autocast_keeps_the_cache_in_its_precision(lengths: list[int]) -> None:
    net = make("all").float()
    for parameter in net.parameters():
        parameter.data.mul_(0.3)
    rows = [[1] * length for length in lengths]
    with torch.autocast("cpu", torch.bfloat16):
        logits, state = net.prefill(*pad(rows))
        for _ in range(S + 2):
            logits, state = net.decode_step(torch.tensor([3, 4]), state)
            for row, token in zip(rows, (3, 4), strict=True):
                row.append(token)
    assert state.cache.keys is not None
    assert state.cache.keys.dtype == torch.bfloat16
    expected = torch.stack([naive(net, row) for row in rows])
    assert (logits - expected).abs().mean() < 0.1 * expected.abs().mean() + 0.02


def test_training_goes_on_after_generation() -> None:
    net = make("all")
    net.prefill(*pad([[1, 2], [3]]))
    net(torch.tensor([[1, 2]])).sum().backward()
    assert net.token_embedding.weight.grad is not None


def test_bad_lengths_are_told() -> None:
    net = make("learned")
    for lengths in ([0, 1], [1, 4], [1]):
        with pytest.raises(ValueError, match="lengths must be 2 numbers from 1 to 3"):
            net.prefill(torch.zeros(2, 3, dtype=torch.long), torch.tensor(lengths))


@pytest.mark.parametrize("lengths", [[3, 3, 3], [3, 1, 2]])
def test_reordered_rows_attend_to_what_their_parents_read(lengths: list[int]) -> None:
    """Also with more and fewer rows than before."""
    torch.manual_seed(0)
    cache = KVCache(1, 3, 20, torch.device("cpu"))
    steps = max(lengths)
    q, k, v = torch.randn(3, 3, H, steps, 4, dtype=torch.float64)
    cache.fill(torch.zeros(3, steps, dtype=torch.long), lengths)
    cache.attend_filled(0, q, k, v)
    read = [(k[row, :, :length], v[row, :, :length]) for row, length in enumerate(lengths)]  # (H, T, K) each
    for parents in ([1, 0, 0, 2, 2, 1, 1, 0, 2], [8, 0, 3], [0, 1, 2], [2, 2, 1, 0], [3, 0, 1, 2], [1, 1, 2, 0]):
        cache.reorder(torch.tensor(parents))
        read = [read[parent] for parent in parents]
        q, k, v = torch.randn(3, len(parents), H, 1, 4, dtype=torch.float64)
        cache.append(torch.zeros(len(parents), 1, dtype=torch.long), [1] * len(parents))
        found = cache.attend_appended(0, q, k, v)
        for row, (keys, values) in enumerate(read):
            keys, values = torch.cat((keys, k[row]), dim=1), torch.cat((values, v[row]), dim=1)
            expected = (q[row] @ keys.mT / 2).softmax(-1) @ values
            torch.testing.assert_close(found[row], expected, rtol=0, atol=1e-12)
            read[row] = keys, values
