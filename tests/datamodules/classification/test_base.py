"""Rows of tokens: a tokenizer that is learned from training texts alone, special tokens, truncation."""

from pathlib import Path
from typing import Any

import pytest

from datamodules import QuestionsDataModule
from datamodules.classification.groups import PredictConfig, TokenConfig
from datamodules.tokenizers import CharTokenizer, WordPieceTokenizer, WordTokenizer, save


def test_the_tokenizer_is_learned_once_from_training_texts_alone(trec: Path, cache: Path) -> None:
    file = trec / "TREC_10.label"
    file.write_text(file.read_text() + "HUM:ind Who is Zyzzyva Qwrtp ?\n")
    for kind in ("wordpiece", "words"):
        tokenizer = QuestionsDataModule(path=str(trec), tokenizer=kind, vocab_size=500).tokenizer
        assert not any("zyz" in piece or "qwr" in piece for piece in tokenizer.pieces(range(tokenizer.vocab_size)))
    made = sorted((cache / "tokenizers").glob("*.tokenizer"))
    assert len(made) == 2
    times = [path.stat().st_mtime_ns for path in made]
    assert QuestionsDataModule(path=str(trec), vocab_size=500).vocab_size <= 500
    assert [path.stat().st_mtime_ns for path in made] == times
    assert QuestionsDataModule(path=str(trec), vocab_size=400).vocab_size <= 400
    assert len(list((cache / "tokenizers").glob("*.tokenizer"))) == 3


def first_row(data: QuestionsDataModule) -> list[str]:
    data.setup("predict")
    batch = data.predict_set.__getitems__([0])  # type: ignore[union-attr]
    return data.tokenizer.pieces(batch["input_ids"][0].tolist())


def test_cased_and_lower_case_tokenizers_have_separate_cache_files(trec: Path) -> None:
    kinds = [("words", True), ("words", False), ("wordpiece", True), ("wordpiece", False)]
    for kind, lower in kinds * 2:  # the second time from the cache
        data = QuestionsDataModule(path=str(trec), tokenizer=kind, tokens=TokenConfig(lower_case=lower))
        found = {piece for piece in data.tokenizer.pieces(range(data.vocab_size)) if not piece.startswith("[")}
        assert any(piece != piece.lower() for piece in found) is not lower


def test_special_tokens_and_truncation(tmp_path: Path) -> None:
    save(WordTokenizer("\n".join("abcdefghij")), tmp_path / "words")
    common: dict[str, Any] = {
        "tokenizer_path": str(tmp_path / "words"), "predict": PredictConfig(["a b c d e f g h i j"])
    }  # fmt: skip
    assert first_row(QuestionsDataModule(**common)) == list("abcdefghij")
    assert first_row(QuestionsDataModule(**common, tokens=TokenConfig(special_tokens=True))) == [
        "[CLS]",
        *"abcdefghij",
        "[SEP]",
    ]
    for side, kept in (("head", "abcdefgh"), ("tail", "cdefghij"), ("both", "abefghij")):
        data = QuestionsDataModule(**common, tokens=TokenConfig(max_seq_len=8, truncation_side=side))  # type: ignore[arg-type]
        assert first_row(data) == list(kept)
        assert data.truncated == {"predict": 1}
    data = QuestionsDataModule(**common, tokens=TokenConfig(max_seq_len=4, special_tokens=True))
    assert first_row(data) == ["[CLS]", "a", "b", "[SEP]"]
    save(WordPieceTokenizer("[PAD]\n[UNK]\n[CLS]\n[SEP]\na"), tmp_path / "pieces")
    data = QuestionsDataModule(tokenizer_path=str(tmp_path / "pieces"), predict=PredictConfig(["\u200b\u0301"]))
    assert first_row(data) == ["[UNK]"]  # the tokenizer drops all of it, and a net wants a token


def test_a_tokenizer_without_padding_is_refused(tmp_path: Path) -> None:
    save(CharTokenizer("abc"), tmp_path / "char")
    with pytest.raises(
        ValueError, match=r"^tokenizer_path .*char: holds a tokenizer of the kind char, which has no pad"
    ):
        _ = QuestionsDataModule(tokenizer_path=str(tmp_path / "char")).vocab_size
