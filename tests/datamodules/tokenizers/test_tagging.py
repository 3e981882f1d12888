"""TaggingTokenizer: the words and characters it learns, its batches, its state."""

import json

import pytest
import torch

from datamodules.tokenizers import TaggingTokenizer, WordTokenizer, from_state, load_tagging, save

SENTENCES = [["The", "cat", "sat"], ["the", "Cat"], ["x"]]


def test_words_and_characters_that_are_used_often_enough() -> None:
    tokenizer = TaggingTokenizer.learn(SENTENCES, min_count=2)
    assert tokenizer.pieces(range(tokenizer.vocab_size)) == ["[PAD]", "[UNK]", "cat", "the"]
    assert tokenizer.alphabet == "aeht"  # "T", "C", "c", "s" and "x" once each
    assert [tokenizer.encode(word) for word in ("THE", "cat", "dog")] == [[3], [2], [1]]
    assert tokenizer.spelling("Tea").tolist() == [1, 3, 2]
    cased = TaggingTokenizer.learn(SENTENCES, lower_case=False)
    assert cased.pieces(range(2, cased.vocab_size)) == ["Cat", "The", "cat", "sat", "the", "x"]
    assert cased.encode("CAT") == [1]


def test_a_batch_of_words() -> None:
    batch = TaggingTokenizer.learn(SENTENCES, max_characters=4).batch([["the", "the"], ["catapults"]])
    assert batch["input_ids"].tolist() == [[3, 3], [1, 0]]
    assert batch["attention_mask"].tolist() == batch["word_mask"].tolist() == [[True, True], [True, False]]
    assert batch["first_tokens"].tolist() == [[0, 1], [0, 0]]
    assert batch["spelling_of"].tolist() == [[0, 0], [1, 0]]
    assert batch["spellings"].shape == (2, 4)  # c a ... t s


def test_the_state_is_plain_and_makes_the_same_tokenizer(tmp_path: object) -> None:
    tokenizer = TaggingTokenizer.learn(SENTENCES)
    state = json.loads(json.dumps(tokenizer.state()))
    again = from_state(state)
    assert isinstance(again, TaggingTokenizer)
    assert again.fingerprint == tokenizer.fingerprint
    for one, other in zip(again.batch(SENTENCES).values(), tokenizer.batch(SENTENCES).values(), strict=True):
        assert torch.equal(one, other)
    path = tmp_path / "some.tokenizer"  # type: ignore[operator]
    save(tokenizer, path)
    assert load_tagging(path).fingerprint == tokenizer.fingerprint
    save(WordTokenizer("a"), path)
    with pytest.raises(ValueError, match="it holds a tokenizer of text; give a checkpoint of a tagger"):
        load_tagging(path)
    with pytest.raises(ValueError, match="tokenizer of the kind 'tagging' is not known"):
        from_state({**state, "alphabet": 3})


def test_faults_are_refused() -> None:
    with pytest.raises(ValueError, match="tokenizer has the word 'a' twice"):
        TaggingTokenizer("a", ["a", "a"])
    with pytest.raises(ValueError, match="give either words or pieces"):
        TaggingTokenizer("a")
    with pytest.raises(ValueError, match="lone surrogate"):
        TaggingTokenizer("a", ["a"]).tokens("\ud800")
