"""Embeddings of n-grams, of characters within a token and of words in a row, against loops."""

import zlib

import pytest
import torch

from seq_modules.nets.hashing.hashed_ngrams import CharNgrams, WordNgrams, char_ngrams
from seq_modules.nets.text.text_encoder import TextEncoder
from seq_modules.nets.text.token_embedding import EmbeddingConfig

V, LENGTHS = 23, [7, 1, 4, 2]
IDS = torch.randint(1, V, (len(LENGTHS), max(LENGTHS)), generator=torch.Generator().manual_seed(0))
MASK = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
IDS = IDS.masked_fill(~MASK, 0)


def test_ngrams_of_pieces() -> None:
    assert char_ngrams("who", [3, 5]) == ["<wh", "who", "ho>", "<who>"]
    assert char_ngrams("##ing", [3]) == ["ing", "ng>"]
    assert char_ngrams("##", [4]) == ["<##>"]
    assert char_ngrams("a", [4]) == []


def test_ngram_embeddings_are_the_mean_of_a_tokens_rows() -> None:
    torch.manual_seed(0)
    net = CharNgrams(4, 6, [2, 3], buckets=50, limit=5)
    pieces = ["[PAD]", "cats", "cat", "?"]
    net.set_pieces(pieces, [0])
    out = net(torch.tensor([[1, 2, 3, 0]]))[0]
    for at, piece in enumerate(["cats", "cat", "?"]):
        rows = [zlib.crc32(gram.encode()) % 49 + 1 for gram in char_ngrams(piece, [2, 3])[:5]]
        torch.testing.assert_close(out[at], torch.stack([net.table.weight[row] for row in rows]).mean(0))
    assert (out[3] == 0).all()
    with pytest.raises(ValueError, match=r"^vocab_size"):
        net.set_pieces(["a"])


def test_a_tokens_ngrams_do_not_depend_on_its_batch() -> None:
    net = CharNgrams(3, 4, [2], limit=9)
    net.set_pieces(["[PAD]", "a", "abcdefg"], [0])
    together, alone = net(torch.tensor([[1, 2]])), net(torch.tensor([[1]]))
    torch.testing.assert_close(together[:, :1], alone)


def test_a_traced_net_takes_other_tokens_and_lengths() -> None:
    net = CharNgrams(4, 6, [2, 3], buckets=50, limit=5)
    net.set_pieces(["[PAD]", "a", "cat", "?"], [0])
    shapes = ({0: torch.export.Dim("batch"), 1: torch.export.Dim("length")},)
    traced = torch.export.export(net, (torch.tensor([[1, 3], [0, 1]]),), dynamic_shapes=shapes).module()
    ids = torch.tensor([[1, 2, 3], [0, 0, 2], [2, 1, 2]])
    torch.testing.assert_close(traced(ids), net(ids))


@pytest.mark.parametrize("longest", [2, 4])
def test_word_ngrams_are_those_of_a_loop(longest: int) -> None:
    torch.manual_seed(0)
    net = WordNgrams(8, range(2, longest + 1), buckets=5000).double()
    # The same n-gram has the same row wherever it stands, and hardly any two have one.
    of_row: dict[int, set[tuple[int, ...]]] = {}
    rows = net.rows(IDS)
    assert rows.shape == (*IDS.shape, longest - 1)
    expected = torch.zeros(*IDS.shape, 8, dtype=torch.float64)
    for row, length in enumerate(LENGTHS):
        words = [0] * (longest - 1) + IDS[row, :length].tolist()
        for at in range(length):
            for column in range(longest - 1):
                ngram = tuple(words[longest - 1 + at - (column + 1) : longest + at])
                number = int(rows[row, at, column])
                assert 0 < number < 5000
                of_row.setdefault(number, set()).add(ngram)
                expected[row, at] += net.table.weight[number]
    assert all(len(ngrams) == 1 for ngrams in of_row.values())
    assert len(of_row) == len(set().union(*of_row.values()))
    assert not rows[~MASK].any()
    out = net(IDS)
    torch.testing.assert_close(out, expected)
    weight = torch.randn(out.shape, dtype=out.dtype)
    ours, theirs = (torch.autograd.grad((x * weight).sum(), net.table.weight)[0] for x in (out, expected))
    torch.testing.assert_close(ours, theirs)
    changed = IDS.clone()
    changed[0, 4] = V - IDS[0, 4]
    assert torch.equal(net(changed)[0, :4], out[0, :4])  # n-grams end at their token and know nothing of later ones
    assert not torch.equal(net(changed)[0, 4], out[0, 4])


def test_word_ngrams_do_not_collide_more_than_chance() -> None:
    net = WordNgrams(1, [2], buckets=20_001)
    pairs = torch.cartesian_prod(torch.arange(1, 101), torch.arange(1, 101))  # 10,000 pairs of words
    rows = net.rows(pairs)[:, 1, 0].unique()
    expected = 20_000 * (1 - (1 - 1 / 20_000) ** 10_000)  # rows taken when each is drawn alike: 7,869
    assert abs(len(rows) - expected) < 200


def test_pairs_of_words_tell_apart_what_a_bag_of_words_cannot() -> None:
    torch.manual_seed(0)
    ids, mask = torch.tensor([[1, 2, 3], [3, 2, 1]]), torch.ones(2, 3, dtype=torch.bool)
    options = {"encoder": "embeddings", "pooling": "mean", "d_model": 4}
    bag, pairs = (
        TextEncoder(5, **options, embedding=EmbeddingConfig(word_orders=orders))(ids, mask) for orders in (None, [2])
    )
    torch.testing.assert_close(bag[0], bag[1])
    assert not torch.allclose(pairs[0], pairs[1])


@pytest.mark.parametrize(
    ("orders", "buckets", "named"), [([], 9, "orders"), ([0], 9, "orders"), ([2, 2], 9, "orders"), ([2], 1, "buckets")]
)
def test_refuses(orders: list[int], buckets: int, named: str) -> None:
    for make in (lambda: WordNgrams(4, orders, buckets), lambda: CharNgrams(5, 4, orders, buckets)):
        with pytest.raises(ValueError, match=rf"^{named} must be"):
            make()
