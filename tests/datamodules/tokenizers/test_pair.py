"""Pairs of tokenizers: special ids come first, round trips on both sides, and the state is plain data."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.tokenizers import (
    CharTokenizer,
    SentencePieceTokenizer,
    Tokenizer,
    TokenizerPair,
    WordTokenizer,
    from_state,
    load,
    load_pair,
    save,
)
from datamodules.tokenizers.words import join_words, split_words
from seqlight.core.labels import BOS, EOS, PAD, UNK

GERMAN = ["Zwei Hunde laufen am Strand.", "Ein Mann, der „gut“ singt (laut!), wartet.", "Die Frau liest ein Buch."] * 3
ENGLISH = ["Two dogs don't run.", 'A man who sings "well" (loudly!), waits.', "The woman reads a book."] * 3
TOKENIZERS: dict[str, Tokenizer] = {
    "char": CharTokenizer.train(GERMAN),
    "words": WordTokenizer.train(GERMAN, 100, lower_case=False),
    "unigram": SentencePieceTokenizer.train([f" {text}\n" for text in GERMAN], "unigram", 300),
    "bpe": SentencePieceTokenizer.train([f" {text}\n" for text in GERMAN], "bpe", 300),
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_round_trip_and_special_ids_are_left_out(name: str) -> None:
    side = TokenizerPair(TOKENIZERS[name]).target
    for text in GERMAN:
        ids = side.encode(text)
        assert min(ids) > EOS
        assert max(ids) < side.vocab_size
        assert side.decode([BOS, *ids, EOS, PAD, PAD]) == text
        assert len(side.tokens(ids)) == len(side.split(text)) == len(ids)
    assert side.encode("") == []
    assert side.decode([]) == ""
    assert side.tokens([PAD, UNK, BOS, EOS]) == ["<pad>", "<unk>", "<s>", "</s>"]


def test_the_vocabulary_is_the_tokenizers_own_after_four_special_ids() -> None:
    side = TokenizerPair(CharTokenizer("abc")).source
    assert side.vocab_size == 7
    assert side.encode("abxc") == [4, 5, UNK, 6]
    words = TokenizerPair(WordTokenizer("cat\ndog")).source
    assert words.vocab_size == 6
    assert words.encode("dog cat bird") == [5, 4, UNK]
    # SentencePiece: its unknown symbol alone is replaced.
    assert TokenizerPair(TOKENIZERS["bpe"]).vocab_size == 300 + 3


@pytest.mark.parametrize("name", ["unigram", "bpe"])
@settings(max_examples=60, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_sentencepiece_round_trip_of_any_text(name: str, text: str) -> None:
    side = TokenizerPair(TOKENIZERS[name]).source
    assert side.decode(side.encode(text)) == text


def test_sentencepiece_has_one_piece_for_a_word_at_the_beginning_and_within() -> None:
    side = TokenizerPair(TOKENIZERS["bpe"]).source
    first, within = side.encode("Zwei"), side.encode("Zwei Zwei")
    assert within == first * 2


def test_unknown_words_are_replaced_in_order() -> None:
    side = TokenizerPair(WordTokenizer.train(GERMAN, 100, lower_case=False)).target
    ids = side.encode("Die Katze liest ein Heft.")
    assert side.split("Die Katze liest ein Heft.") == ["Die", "Katze", "liest", "ein", "Heft", "."]
    assert [i == UNK for i in ids] == [False, True, False, False, True, False]
    assert side.decode(ids, ["cat"]) == "Die cat liest ein \ufffd."
    characters = TokenizerPair(CharTokenizer("ab")).target
    assert characters.decode(characters.encode("axb"), ["XY"]) == "aXYb"


def test_words_are_joined_as_running_text() -> None:
    for text in [*GERMAN, *ENGLISH, "He's here; they'll go... won't they?", "(a [b] c)", "¿Qué? ¡Sí!"]:
        assert join_words(split_words(text, lower_case=False)) == text


def test_rare_words_are_unknown() -> None:
    side = TokenizerPair(WordTokenizer.train(["a b a", "b c"], 100, min_count=2)).source
    assert side.encode("a b c") == [4, 5, UNK]
    with pytest.raises(ValueError, match=r"^min_count 3: no word"):
        WordTokenizer.train(["a b a", "b c"], 100, min_count=3)


@pytest.mark.parametrize("shared", [True, False])
def test_the_state_is_plain_data_and_saved_in_a_checkpoint(shared: bool, tmp_path: Path) -> None:
    pair = TokenizerPair(TOKENIZERS["bpe"], None if shared else TOKENIZERS["words"])
    torch.save({"tokenizer": pair.state(), "state_dict": {}}, tmp_path / "a.ckpt")
    save(pair, tmp_path / "b")
    for copy in (load_pair(tmp_path / "a.ckpt"), load_pair(tmp_path / "b"), from_state(pair.state())):
        assert isinstance(copy, TokenizerPair)
        assert copy.fingerprint == pair.fingerprint
        assert (copy.source is copy.target) == shared
        for text in GERMAN:
            assert copy.source.encode(text) == pair.source.encode(text)
            assert copy.target.encode(text) == pair.target.encode(text)
    other = TokenizerPair(TOKENIZERS["bpe"], TOKENIZERS["words"] if shared else TOKENIZERS["char"])
    assert other.fingerprint != pair.fingerprint


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    save(TokenizerPair(TOKENIZERS["char"]), tmp_path / "pair")
    save(TOKENIZERS["char"], tmp_path / "one")
    with pytest.raises(ValueError, match=r"^tokenizer_path .*pair: it holds a pair of tokenizers"):
        load(tmp_path / "pair")
    with pytest.raises(ValueError, match=r"^tokenizer_path .*one: it holds a tokenizer of text"):
        load_pair(tmp_path / "one")
    with pytest.raises(ValueError, match="of the kind 'pair' is not known"):
        from_state({"kind": "pair", "source": {"kind": "frames", "lowest": 1, "highest": 2, "frame_size": 2,
                                               "order": "rising"}, "target": {"kind": "byte"}})  # fmt: skip
