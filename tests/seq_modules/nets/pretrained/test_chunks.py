"""Long texts in overlapping chunks: compared with chunks that are cut and read one by one in plain Python."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from seq_modules.nets.pretrained.chunks import ChunkConfig, chunk_places
from seq_modules.nets.pretrained.encoder import PretrainedEncoder
from seqlight.core.errors import UserError

SIZE, OVERLAP = 8, 2
SIZES: dict[str, Any] = {
    "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
    "max_position_embeddings": SIZE, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
LENGTHS = [3, 8, 9, 14, 15, 21]


def encoder(**options: Any) -> PretrainedEncoder:
    torch.manual_seed(0)
    model = BertModel(BertConfig(**SIZES))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return PretrainedEncoder(model, dropout=0.0, **{"chunks": ChunkConfig(SIZE, OVERLAP), **options}).eval()


def cut(length: int) -> list[list[int]]:
    """The places of each chunk of a text of so many tokens, by a loop."""
    if length <= SIZE:
        return [list(range(length))]
    words, chunks, begin = list(range(1, length - 1)), [], 0
    while True:
        chunks.append([0, *words[begin : begin + SIZE - 2], length - 1])
        if begin + SIZE - 2 >= len(words):
            return chunks
        begin += SIZE - 2 - OVERLAP


def batch(lengths: list[int] = LENGTHS, more: int = 0) -> tuple[Tensor, Tensor]:
    mask = torch.arange(max(lengths) + more) < torch.tensor(lengths)[:, None]
    ids = torch.randint(2, 40, mask.shape, generator=torch.Generator().manual_seed(0))
    return ids.masked_fill(~mask, 0), mask


def by_loops(net: PretrainedEncoder, ids: Tensor, length: int) -> Tensor:
    """States (length, D) of one text: the mean over the chunks that hold a token, each chunk read alone."""
    found: list[list[Tensor]] = [[] for _ in range(length)]
    for places in cut(length):
        states = net.model(input_ids=ids[None, places]).last_hidden_state[0]
        for place, state in zip(places, states, strict=True):
            found[place].append(state)
    return torch.stack([torch.stack(states).mean(0) for states in found])


@pytest.mark.parametrize("more", [0, 7])
def test_chunks_hold_the_places_that_a_loop_cuts(more: int) -> None:
    places, here = chunk_places(batch(more=more)[1], SIZE, OVERLAP)
    for row, length in enumerate(LENGTHS):
        found = [p[m].tolist() for p, m in zip(places[row], here[row], strict=True)]
        chunks = cut(length)
        assert found[: len(chunks)] == chunks
        assert all(rest == [0] for rest in found[len(chunks) :])


@pytest.mark.parametrize("pooling", ["pooler", "first", "mean", "max", "attention"])
def test_states_and_vectors_are_those_of_chunks_read_alone(pooling: Any) -> None:
    net = encoder(pooling=pooling)
    ids, mask = batch(more=3)
    states, vectors = net.states(ids, mask), net(ids, mask)
    for row, length in enumerate(LENGTHS):
        expected = by_loops(net, ids[row], length)
        torch.testing.assert_close(states[row, :length], expected, rtol=0, atol=1e-5)
        assert not states[row, length:].any()
        alone = net(ids[row : row + 1, :length], mask[row : row + 1, :length])[0]
        torch.testing.assert_close(vectors[row], alone, rtol=0, atol=1e-5)


def test_gradients_are_those_of_chunks_read_alone() -> None:
    net = encoder()
    ids, mask = batch([21, 9])
    weights = torch.randn(2, 21, 16, generator=torch.Generator().manual_seed(1)) * mask[..., None]
    table = net.model.get_input_embeddings().weight
    (got,) = torch.autograd.grad((net.states(ids, mask) * weights).sum(), table)
    alone = sum((by_loops(net, ids[row], n) * weights[row, :n]).sum() for row, n in enumerate((21, 9)))
    (expected,) = torch.autograd.grad(alone, table)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_a_text_that_fits_is_read_as_without_chunks() -> None:
    ids, mask = batch([3, 8])
    together = encoder(chunks=ChunkConfig()).states(ids, mask) * mask[..., None]
    torch.testing.assert_close(encoder().states(ids, mask), together, rtol=0, atol=1e-6)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UserError, match=r"net\.chunks\.overlap 6 .* give less than 6"):
        ChunkConfig(8, 6)
    with pytest.raises(UserError, match=r"net\.chunks\.size: 9 tokens .* 8 positions; give a lower one"):
        encoder(chunks=ChunkConfig(9, 2)).check_length(50)
    with pytest.raises(UserError, match=r"tokens\.max_seq_len: 9 tokens .* cut texts: net\.chunks\.size"):
        encoder(chunks=ChunkConfig()).check_length(9)
