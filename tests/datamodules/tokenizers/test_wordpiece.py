"""WordPiece: the ids of transformers, deterministic training, invalid vocabularies; and the word tokenizer."""

import json
import sys
import types
from pathlib import Path

import pytest

from datamodules.tokenizers import WordPieceTokenizer, WordTokenizer, from_state, load, save
from datamodules.tokenizers.words import split_words

PIECES = [
    "[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "who",
    "wrote", "ham", "##let", "##s", "un", "##believ", "##able",
    "cafe", "naive", "The", "Café", "東", "京",
    "?", "!", "'", ",", "-", "1", "2", "##2", "a", "b", "##b", "s",
]  # fmt: skip
TEXTS = [
    "Who wrote Hamlet ?",
    "the Café's naïve HAMLETS, unbelievable!",
    "東京 12 1-2 un-believable",
    "a\tb\n bb \u200b\x00 ABB é",
    "x" * 101 + " the",
    "a [SEP b",
    "",
    " ",
]


def folder(at: Path, **config: object) -> Path:
    at.mkdir(exist_ok=True)
    (at / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    if config:
        (at / "tokenizer_config.json").write_text(json.dumps(config))
    return at


@pytest.mark.parametrize("config", [{}, {"do_lower_case": False}, {"strip_accents": False}])
def test_equal_to_transformers(tmp_path: Path, config: dict[str, object]) -> None:
    from transformers import BertTokenizer

    place = folder(tmp_path / "made up", **config)
    theirs, ours = BertTokenizer.from_pretrained(place), WordPieceTokenizer.from_pretrained(str(place))
    expected = theirs(TEXTS, add_special_tokens=False)["input_ids"]
    assert [ids.tolist() for ids in ours.encode_texts(TEXTS)] == expected
    assert [ours.encode(text) for text in TEXTS] == expected
    assert any(2 in ids for ids in expected)
    assert any(len(ids) > 5 and 2 not in ids for ids in expected) or config  # not unknown through and through
    assert ours.pieces(range(len(PIECES))) == PIECES
    assert ours.special == {"pad": 0, "unk": 2, "cls": 3, "sep": 4, "mask": 5}
    theirs.save_pretrained(tmp_path / "saved")  # tokenizer.json in place of vocab.txt
    assert WordPieceTokenizer.from_pretrained(str(tmp_path / "saved")).fingerprint == ours.fingerprint
    save(ours, tmp_path / "ours.tokenizer")
    again = load(tmp_path / "ours.tokenizer")
    assert again.fingerprint == ours.fingerprint
    assert [again.encode(text) for text in TEXTS] == expected


def test_a_text_cannot_hold_a_special_token() -> None:
    tokenizer = WordPieceTokenizer("\n".join(PIECES))
    assert not set(tokenizer.encode("[CLS] a [SEP] [MASK] [PAD]")) & {0, 3, 4, 5}


def test_decoding_and_lengths() -> None:
    tokenizer = WordPieceTokenizer("\n".join(PIECES))
    ids = tokenizer.encode("Hamlets wrote zzz Café!")
    assert tokenizer.pieces(ids) == ["ham", "##let", "##s", "wrote", "[UNK]", "cafe", "!"]
    assert tokenizer.decode([3, *ids, 4, 0]) == "hamlets wrote \N{REPLACEMENT CHARACTER} cafe !"
    assert tokenizer.characters[ids].tolist() == [3, 3, 1, 5, 1, 4, 1]
    assert tokenizer.characters[[0, 3, 4]].tolist() == [0, 0, 0]


def test_training_is_deterministic() -> None:
    """Left alone, the library gave eight vocabularies in eight trials: its hash tables are seeded anew for each."""
    texts = [
        f"the {a}{b} of {b}{a}ing, {c}est!" for a in ("red", "näive", "slow", "walk") for b in "abcde" for c in "xyz"
    ]
    assert len({WordPieceTokenizer.train(texts, 100).fingerprint for _ in range(8)}) == 1


def test_learned_pieces() -> None:
    texts = ["walking talking walked talked", "WALKING the talk"] * 3
    tokenizer = WordPieceTokenizer.train(texts, 60)
    assert tokenizer.vocab_size <= 60
    assert tokenizer.pieces(range(5)) == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert 1 not in tokenizer.encode("klat")  # letters it knows, in a word that it does not
    assert tokenizer.encode("walking") == tokenizer.encode("WALKING")
    assert len(tokenizer.encode("walking")) < 7
    assert 1 in tokenizer.encode("café")  # a letter that it never saw
    with pytest.raises(ValueError, match=r"^vocab_size 8 is too small .* give \d\d$"):
        WordPieceTokenizer.train(texts, 8)
    with pytest.raises(ValueError, match="no word to learn from"):
        WordPieceTokenizer.train([" "], 100)


def test_invalid_vocabularies_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"^tokenizer_path .*empty: holds neither vocab\.txt nor"):
        WordPieceTokenizer.from_pretrained(str(tmp_path / "empty"))
    with pytest.raises(ValueError, match="lacks \\[CLS\\], \\[SEP\\]"):
        WordPieceTokenizer("[PAD]\n[UNK]\nthe")
    with pytest.raises(ValueError, match="'the' twice"):
        WordPieceTokenizer("\n".join([*PIECES, "the"]))
    with pytest.raises(ValueError, match="lone surrogate"):
        WordPieceTokenizer("\n".join(PIECES)).encode("a \ud800")
    with pytest.raises(ValueError, match="not known; known are"):
        from_state({"kind": "wordpiece", "vocabulary": 3})

    def download(*args: object, **kwargs: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(snapshot_download=download))
    with pytest.raises(ValueError, match=r"^tokenizer_path me/bert: .*OSError: Name.*without a network, give a folder"):
        WordPieceTokenizer.from_pretrained("me/bert")


def test_a_tokenizer_from_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(hub: str, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((hub, revision, "vocab.txt" in allow_patterns))
        return str(folder(tmp_path / "cached"))

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(snapshot_download=download))
    assert WordPieceTokenizer.from_pretrained("me/bert", "v1").vocab_size == len(PIECES)
    assert asked == [("me/bert", "v1", True)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("What 's U.S. Highway 1 ?", "what 's u.s. highway 1 ?"),
        ("Don't go, Mrs. Drake!", "do n't go , mrs. drake !"),
        ("Robert E. Lee's long-term AT&T deal.", "robert e. lee 's long-term at&t deal ."),
        ("It cost $1,000.50 -- ``really'' (50%)", "it cost $ 1,000.50 -- `` really '' ( 50 % )"),
    ],
)
def test_words_are_split_as_in_the_penn_treebank(text: str, words: str) -> None:
    assert split_words(text) == words.split()


def test_words(tmp_path: Path) -> None:
    tokenizer = WordTokenizer.train(["b a b", "B c ?", "c"], 7)
    assert tokenizer.pieces(range(7)) == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "b", "c", "?"]  # ties by the alphabet
    assert tokenizer.encode("B? zzz") == [4, 6, 1]
    assert tokenizer.decode([2, 4, 1, 3]) == "b \N{REPLACEMENT CHARACTER}"
    save(tokenizer, tmp_path / "words")
    assert load(tmp_path / "words").fingerprint == tokenizer.fingerprint
    assert "lower_case" not in tokenizer.state()  # or checkpoints from before it would not be known again
    with pytest.raises(ValueError, match="no room for a word"):
        WordTokenizer.train(["a"], 4)
    with pytest.raises(ValueError, match="no word to learn"):
        WordTokenizer.train([""], 40)


def test_cased_words_and_pieces(tmp_path: Path) -> None:
    texts = ["Mr. Ford flew to Turkey , didn't He ?", "he ate turkey , a Turkey's leg", "Turkey"]
    cased = WordTokenizer.train(texts, 40, lower_case=False)
    assert " ".join(split_words(texts[0], lower_case=False)) == "Mr. Ford flew to Turkey , did n't He ?"
    words = ["Turkey", "turkey", "He", "he", "ATE", "ford"]  # the last is unknown, as no one wrote it so
    assert cased.pieces(cased.encode(" ".join(words))) == ["Turkey", "turkey", "He", "he", "ate", "[UNK]"]
    save(cased, tmp_path / "words")
    again = load(tmp_path / "words")
    assert again.fingerprint == cased.fingerprint != WordTokenizer(cased.state()["words"]).fingerprint
    assert again.encode("Turkey turkey") == cased.encode("Turkey turkey")
    for lower, count in ((True, 1), (False, 2)):
        pieces = WordPieceTokenizer.train(texts * 2, 200, lower_case=lower)
        assert pieces.lower_case is lower
        assert len({tuple(pieces.encode(word)) for word in ("Turkey", "turkey")}) == count
