"""Text tokenizers: exact round trips, numbers of characters, and a state of plain data."""

import random
import re
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from datamodules.tokenizers import (
    ByteTokenizer,
    CharTokenizer,
    SentencePieceTokenizer,
    Tokenizer,
    from_state,
    load,
    save,
)

WORDS = re.split(" ", "the cat sat on a mat and the dog ran to the man with a red hat; naïve cafés, twenty-two €\n")
CORPUS = "".join(
    " ".join(random.Random(i).choices(WORDS, k=9)).replace("\n", "") + "\n" * (1 + i % 2) for i in range(400)
)
SENTENCEPIECE = {
    name: SentencePieceTokenizer.train([CORPUS], name, 310)
    for name in ("unigram", "bpe")  # type: ignore[arg-type]
}
LOSSLESS: dict[str, Tokenizer] = {"byte": ByteTokenizer(), **SENTENCEPIECE}
TOKENIZERS = {"char": CharTokenizer(CORPUS), **LOSSLESS}

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SPACES = st.text(st.sampled_from("\n\t\r \u2581\0\u00a0\u2028ab\u2585\ufeff\ufffd"))


@pytest.mark.parametrize("name", LOSSLESS)
@settings(max_examples=150, deadline=None)
@given(text=st.one_of(ANY_TEXT, SPACES, st.lists(st.sampled_from([*WORDS, " ", "\n", "\u2581"])).map("".join)))
@example(text="")
@example(text=" \n\n\t  \u2581the\u2581\u2581 cat\0\r\n\U0001f600e\u0301 ")
def test_round_trip_of_any_text(name: str, text: str) -> None:
    tokenizer = LOSSLESS[name]
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert all(0 <= i < tokenizer.vocab_size for i in ids)
    assert tokenizer.characters[ids].sum() == len(text)
    assert len(tokenizer.pieces(ids)) == len(ids)


@pytest.mark.parametrize("name", LOSSLESS)
def test_round_trip_of_every_code_point(name: str) -> None:
    points = [*range(0xD800), *range(0xE000, 0x110000, 1 if name == "byte" else 11)]
    text = "".join(f"a{chr(point)} " for point in points)
    ids = LOSSLESS[name].encode(text)
    assert LOSSLESS[name].decode(ids) == text
    assert LOSSLESS[name].characters[ids].sum() == len(text)


@settings(max_examples=100, deadline=None)
@given(text=ANY_TEXT)
def test_characters_outside_the_alphabet_are_unknown(text: str) -> None:
    tokenizer = TOKENIZERS["char"]
    known = set(CORPUS)
    assert tokenizer.decode(tokenizer.encode(text)) == "".join(c if c in known else "\ufffd" for c in text)
    assert [i == tokenizer.special["unk"] for i in tokenizer.encode(text)] == [c not in known for c in text]
    assert tokenizer.characters[tokenizer.encode(text)].sum() == len(text)


@settings(max_examples=60, deadline=None)
@given(alphabet=st.text(st.characters(exclude_categories=["Cs"]), min_size=1), data=st.data())
def test_char_is_exact_on_its_alphabet(alphabet: str, data: st.DataObject) -> None:
    tokenizer = CharTokenizer(alphabet)
    text = data.draw(st.text(st.sampled_from(alphabet)))
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.vocab_size == 1 + len(set(alphabet))
    assert tokenizer.encode("".join(sorted(set(alphabet)))) == list(range(1, tokenizer.vocab_size))  # sorted


@pytest.mark.parametrize("name", TOKENIZERS)
def test_surrogates_are_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=r"^text holds a lone surrogate \(U\+D83D at character 2\)"):
        TOKENIZERS[name].encode("ab\ud83d")


@pytest.mark.parametrize("name", TOKENIZERS)
def test_the_state_is_plain_data_and_saved_in_a_checkpoint(name: str, tmp_path: Path) -> None:
    tokenizer = TOKENIZERS[name]
    torch.save({"tokenizer": tokenizer.state(), "state_dict": {}}, tmp_path / "a.ckpt")  # load() uses weights_only
    save(tokenizer, tmp_path / "b")
    for copy in (load(tmp_path / "a.ckpt"), load(tmp_path / "b"), from_state(tokenizer.state())):
        assert type(copy) is type(tokenizer)
        assert copy.encode(CORPUS) == tokenizer.encode(CORPUS)
        assert copy.fingerprint == tokenizer.fingerprint
        assert np.array_equal(copy.characters, tokenizer.characters)
        assert (copy.vocab_size, copy.special) == (tokenizer.vocab_size, tokenizer.special)


def test_different_tokenizers_have_different_fingerprints() -> None:
    others = [CharTokenizer("ab"), CharTokenizer("abc")]
    assert len({tokenizer.fingerprint for tokenizer in [*TOKENIZERS.values(), *others]}) == 6
    assert CharTokenizer("ab").fingerprint == CharTokenizer("ba").fingerprint
    assert all(len(tokenizer.fingerprint) == 12 for tokenizer in others)


@pytest.mark.parametrize("name", SENTENCEPIECE)
def test_sentencepiece_makes_subwords_and_never_joins_lines(name: str) -> None:
    tokenizer = SENTENCEPIECE[name]
    assert tokenizer.vocab_size == 310
    assert len(tokenizer.encode(CORPUS)) < 0.6 * len(CORPUS)
    assert [piece for piece in tokenizer.pieces(range(310)) if "\n" in piece] == ["\n"]
    assert tokenizer.encode("the cat\nthe cat\n") == 2 * tokenizer.encode("the cat\n")
    again = SentencePieceTokenizer.train([CORPUS], name, 310)  # type: ignore[arg-type]
    assert again.fingerprint == tokenizer.fingerprint  # learning draws no chance


def test_sentencepiece_learns_from_long_lines_and_every_nth_sentence_of_a_long_text() -> None:
    line = CORPUS.replace("\n", " ")  # one line of 10,000s of characters, which SentencePiece alone would drop
    tokenizer = SentencePieceTokenizer.train([line], "bpe", 305)
    assert "▁the" in tokenizer.pieces(range(305))
    thinned = SentencePieceTokenizer.train(["the cat\nzzz yyy\n" * 50], "bpe", 266, characters=40_000_000)
    assert not any("z" in piece for piece in thinned.pieces(range(1, 266)) if not piece.startswith("<0x"))


@pytest.mark.parametrize("name", SENTENCEPIECE)
@pytest.mark.parametrize(
    ("text", "size", "message"),
    [
        (CORPUS, 50_000, r"^vocab_size 50000 is too big for this text; give at most \d+"),
        (CORPUS, 260, r"^vocab_size 260 is too small for .* give at least 2\d\d"),
        ("\u2581", 300, r"^vocab_size 300: SentencePiece learned nothing"),
    ],
)
def test_impossible_vocabularies_are_refused(name: str, text: str, size: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SentencePieceTokenizer.train([text], name, size)  # type: ignore[arg-type]


def test_models_that_change_texts_are_refused(tmp_path: Path) -> None:
    import sentencepiece

    lines = CORPUS.splitlines(keepends=True)
    for kwargs in ({}, {"byte_fallback": True}, {"normalization_rule_name": "identity"}):
        prefix = tmp_path / "m"
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_prefix=str(prefix), vocab_size=305, minloglevel=2, model_type="bpe",
            hard_vocab_limit=False, **kwargs,
        )  # fmt: skip
        with pytest.raises(ValueError, match=r"^tokenizer_path .*m\.model: .*does not keep every text"):
            load(tmp_path / "m.model")
    (tmp_path / "good.model").write_bytes(SENTENCEPIECE["bpe"].model)
    assert load(tmp_path / "good.model").fingerprint == SENTENCEPIECE["bpe"].fingerprint


def test_files_without_a_tokenizer_are_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "none.ckpt")
    torch.save({"tokenizer": {"kind": "word"}}, tmp_path / "other.ckpt")
    (tmp_path / "text.model").write_text("no model")
    (tmp_path / "empty.model").write_text("")
    for name, message in (
        ("none.ckpt", "it holds no tokenizer"),
        ("other.ckpt", "kind 'word' is not known"),
        ("text.model", "not a SentencePiece model"),
        ("empty.model", "not a SentencePiece model"),
    ):
        with pytest.raises(ValueError, match=rf"^tokenizer_path .*{name}: .*{message}"):
            load(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"^tokenizer_path .*gone: no such file"):
        load(tmp_path / "gone")
    with pytest.raises(ValueError, match=r"^alphabet is empty"):
        CharTokenizer("")


def test_bytes_are_utf8_and_half_a_character_is_replaced() -> None:
    tokenizer = ByteTokenizer()
    assert tokenizer.encode("é€") == [*"é€".encode()]
    assert tokenizer.decode([0xC3]) == "\ufffd"
    assert tokenizer.decode(torch.tensor([0x61, 0xE2, 0x82, 0xAC])) == "a€"
    assert tokenizer.pieces([0x61, 0x0A]) == ["a", "<0x0A>"]


@pytest.mark.parametrize(
    ("letters", "algorithm", "size"), [("ACGT", "bpe", 290), ("\u5c71\u6c34\u706b\u6728\u91d1", "unigram", 270)]
)
def test_subwords_of_a_text_without_spaces(letters: str, algorithm: Literal["unigram", "bpe"], size: int) -> None:
    draw = random.Random(1)
    lines = ["".join(draw.choices(letters, k=40)) + "\n" for _ in range(200)]
    tokenizer = SentencePieceTokenizer.train(lines, algorithm, size)
    for text in (lines[0], "A C\n", "  \u2581 \u5c71", " "):
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        assert tokenizer.characters[ids].sum() == len(text)
    assert len(tokenizer.encode(lines[0])) < 40
