"""Translation data: found by name, tokenized once, batched by length, resumed anywhere; predict keeps every line."""

import gzip
import shutil
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from datamodules import TranslationDataModule
from datamodules.seq2seq.example_pairs import TEST, TRAIN, VAL
from datamodules.tokenizers import SentencePieceTokenizer, save
from seqlight.core.labels import EOS, UNK

CHAR = {"tokenizer": "char", "seed": 1}


def data(path: Any = None, **kwargs: Any) -> TranslationDataModule:
    return TranslationDataModule(path if path is None or isinstance(path, list) else str(path), **{**CHAR, **kwargs})


def pairs_of(of: TranslationDataModule, name: Any) -> set[tuple[str, str]]:
    pairs = of.read(name)
    return set(zip(pairs.sources, pairs.targets, strict=True))


def numbers(loader: Any) -> list[list[int]]:
    return [batch["index"].tolist() for batch in loader]


def test_a_folder_is_read_by_the_usual_names(folder: Path) -> None:
    of = data(folder)
    assert [pairs_of(of, name) for name in ("train", "val", "test")] == [set(TRAIN), set(VAL), set(TEST)]
    swapped = data(folder, source="en", target="de")
    assert pairs_of(swapped, "train") == {(en, de) for de, en in TRAIN}
    for name, usual in (("val", "dev"), ("train", "training"), ("test_2016_flickr", "test")):
        for language in ("de", "en"):
            file = folder / f"{name}.{language}"
            (folder / f"{usual}.{language}.gz").write_bytes(gzip.compress(file.read_bytes()))
            file.unlink()
    assert [pairs_of(data(folder), name) for name in ("train", "val", "test")] == [set(TRAIN), set(VAL), set(TEST)]


def test_files_tables_and_prefixes_mean_the_same(folder: Path) -> None:
    rows = "".join(f"{de}\t{en}\n" for de, en in TRAIN)
    (folder.parent / "train.tsv").write_text("de\ten\n" + rows)
    val = {"val_path": str(folder / "val")}
    for path in ([str(folder / "train.de"), str(folder / "train.en")], folder / "train", folder.parent / "train.tsv"):
        of = data(path, split=val | {"test_path": [str(folder / "val.de"), str(folder / "val.en")]})
        assert pairs_of(of, "train") == set(TRAIN)
        assert pairs_of(of, "val") == pairs_of(of, "test") == set(VAL)
    (folder.parent / "tables").mkdir()
    shutil.copy(folder.parent / "train.tsv", folder.parent / "tables/train.tsv")
    assert pairs_of(data(folder.parent / "tables", split=val), "train") == set(TRAIN)


def test_without_validation_pairs_a_fraction_of_the_training_pairs_is_taken(folder: Path) -> None:
    of = data(folder / "train", split={"val_fraction": 0.25})
    train, val = pairs_of(of, "train"), pairs_of(of, "val")
    assert len(val) == round(0.25 * len(TRAIN))
    assert train | val == set(TRAIN)
    assert not train & val
    assert pairs_of(of, "test") == val
    assert (
        pairs_of(data(folder / "train", split={"val_fraction": 0.25}, seed=9), "val") == val
    )  # whatever the run's seed
    assert pairs_of(data(folder / "train", split={"val_fraction": 0.25, "seed": 9}), "val") != val
    with pytest.raises(ValueError, match=r"^split\.val_fraction 0\.001 of 36 pairs leaves one side empty"):
        data(folder / "train", split={"val_fraction": 0.001}).read("val")


def test_what_is_missing_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^path .*nothing: no such file or folder, nor .*nothing\.de and"):
        data(tmp_path / "nothing").setup("fit")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"^path .*empty: has no training pairs; .*train\.de and train\.en"):
        data(tmp_path / "empty").setup("fit")
    for language in ("de", "en"):
        shutil.copy(folder / f"val.{language}", folder / f"test_2017.{language}")
    with pytest.raises(ValueError, match=r"^path .*several test sets \(test_2016_flickr, test_2017\); choose one with"):
        data(folder).read("test")
    assert pairs_of(data(folder, split={"test_path": str(folder / "test_2017")}), "test") == set(VAL)
    with pytest.raises(ValueError, match=r"^path .*train\.de: one file with pairs ends in \.csv"):
        data(folder / "train.de").read("train")
    with pytest.raises(ValueError, match=r"^split\.val_path \['a'\] must be two files, one of de and one of en"):
        data(folder, split={"val_path": ["a"]}).read("val")
    with pytest.raises(
        ValueError, match=r"^path is not given, and the built-in sentences are de and en, not fr and en"
    ):
        data(source="fr").read("train")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"source": "en"}, r"^source and target are both en"),
        ({"path": "x", "text": {"hub": "a/b"}}, r"^path x and text\.hub a/b are both given"),
        ({"tokenizer": "byte"}, r"^tokenizer must be one of"),
        ({"source_vocab_size": 90}, r"^source_vocab_size 90 needs two vocabularies; give tokens\.shared false"),
        ({"source_vocab_size": 0, "tokens": {"shared": False}}, r"^source_vocab_size must be at least 1, not 0"),
        ({"batch_tokens": 100}, r"^batch_tokens must be at least 128, not 100"),
        ({"tokens": {"max_len": 1}}, r"^tokens\.max_len must be at least 2"),
        ({"split": {"val_fraction": 1.0}}, r"^split\.val_fraction must be above 0 and below 1"),
        ({"tokens": {"shard": 1}}, r"^shard is no field of PairTokenConfig"),
    ],
)
def test_wrong_values_are_refused_by_name(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TranslationDataModule(**wrong)


def test_files_in_each_others_place_are_refused(parallel: Callable[..., Path]) -> None:
    many = [(f"{de[:-1]} und {other}", f"{en[:-1]} and {last}") for de, en in TRAIN for other, last in TRAIN[:20]]
    swapped = [(en, de) for de, en in many]
    with pytest.raises(ValueError, match=r"train\.de and train\.en: the sides look swapped, de reads like en"):
        data(parallel(train=swapped, val=VAL)).read("train")
    folder = parallel(train=many, val=swapped)
    of = data(folder)
    of.read("train")
    with pytest.raises(ValueError, match=r"val\.de and val\.en: the sides look swapped"):
        of.read("val")
    # Of languages that are not in the table, the training pairs tell.
    for name in ("train", "val"):
        for old, new in (("de", "xx"), ("en", "yy")):
            (folder / f"{name}.{old}").rename(folder / f"{name}.{new}")
    of = data(folder, source="xx", target="yy")
    of.read("train")
    with pytest.raises(ValueError, match="look swapped beside those of the training pairs"):
        of.read("val")


def test_a_single_swapped_pair_is_left_out_with_its_line(parallel: Callable[..., Path]) -> None:
    many = [(f"{de[:-1]} und {other}", f"{en[:-1]} and {last}") for de, en in TRAIN for other, last in TRAIN[:20]]
    many[41] = many[41][::-1]
    of = data(parallel(train=many, val=VAL))
    with pytest.warns(UserWarning, match=r"train\.de and train\.en: 1 of 720 pairs look swapped .* left out: line 42$"):
        assert len(of.read("train")) == 719


@pytest.mark.parametrize("command", ["fit", "validate", "test"])
def test_every_command_evaluates_the_same_pairs(parallel: Callable[..., Path], command: str) -> None:
    many = [(f"{de[:-1]} und {other}", f"{en[:-1]} and {last}") for de, en in TRAIN for other, last in TRAIN[:20]]
    mixed = [*many[:60], many[41][::-1]]
    of = data(parallel(train=many, val=mixed, test=mixed))
    with pytest.warns(UserWarning, match=r"\.de and .*: 1 of 61 pairs look swapped .* are kept, .*: line 61$"):
        of.setup(command)
    rows = of.test_set if command == "test" else of.val_set
    assert sorted(zip(rows.texts, rows.references, strict=True)) == sorted(mixed)


@pytest.mark.parametrize("tokenizer", ["unigram", "bpe", "words", "char"])
@pytest.mark.parametrize("shared", [True, False])
def test_tokenizers_are_learned_once_and_bring_texts_back(tokenizer: Any, shared: bool, cache: Path) -> None:
    settings = {"tokenizer": tokenizer, "vocab_size": 400, "tokens": {"shared": shared, "min_count": 1}}
    of = data(**settings)
    of.setup("fit")
    assert (of.tokenizer.source is of.tokenizer.target) == shared
    assert (of.source_vocab_size, of.vocab_size) == (of.tokenizer.source.vocab_size, of.tokenizer.target.vocab_size)
    for row, (de, en) in enumerate(TRAIN):
        batch = of.train_set.__getitems__([row])
        assert of.tokenizer.source.decode(batch["source_ids"][0].tolist()) == de
        assert of.tokenizer.target.decode(batch["target_ids"][0].tolist()) == en
    files = {file: file.stat().st_mtime_ns for file in cache.rglob("*.tokenizer")}
    assert len(files) == 1
    again = data(**settings)
    assert again.tokenizer.fingerprint == of.tokenizer.fingerprint
    assert {file: file.stat().st_mtime_ns for file in cache.rglob("*.tokenizer")} == files
    assert data(**{**settings, "vocab_size": 390}).tokenizer  # another file
    assert len(list(cache.rglob("*.tokenizer"))) == 2


@pytest.mark.parametrize(("tokenizer", "size", "less"), [("bpe", 340, 310), ("words", 120, 90)])
def test_two_vocabularies_may_differ_in_size(tokenizer: Any, size: int, less: int) -> None:
    separate = {"tokenizer": tokenizer, "vocab_size": size, "tokens": {"shared": False, "min_count": 1}}
    equal, smaller = data(**separate), data(**separate, source_vocab_size=less)
    assert smaller.source_vocab_size < equal.source_vocab_size
    assert smaller.vocab_size == equal.vocab_size
    assert smaller.tokenizer.target.encode(TRAIN[0][1]) == equal.tokenizer.target.encode(TRAIN[0][1])
    same = data(**separate, source_vocab_size=size)
    assert same.tokenizer.fingerprint == equal.tokenizer.fingerprint != smaller.tokenizer.fingerprint


def test_rare_words_are_unknown_and_few_texts_give_few_subwords() -> None:
    of = data(tokenizer="words", tokens={"min_count": 2})
    ids = of.tokenizer.source.encode("Ein Hund repariert Zebras.")
    assert [i == UNK for i in ids] == [False, False, True, True, False]
    small = data(tokenizer="unigram", vocab_size=8000)
    assert 300 < small.vocab_size < 1000
    lower = data(tokenizer="words", tokens={"lower_case": True, "min_count": 1})
    assert lower.tokenizer.target.decode(lower.tokenizer.target.encode("A dog")) == "a dog"


def test_a_checkpoints_tokenizers_are_used_instead(tmp_path: Path) -> None:
    of = data()
    save(of.tokenizer, tmp_path / "a.ckpt")
    other = data(tokenizer="words", tokenizer_path=str(tmp_path / "a.ckpt"))
    assert other.tokenizer.fingerprint == of.tokenizer.fingerprint
    one = SentencePieceTokenizer.train([f" {de}\n" for de, _ in TRAIN], "bpe", 320)
    save(one, tmp_path / "one.ckpt")
    with pytest.raises(ValueError, match=r"^tokenizer_path .*one\.ckpt: it holds a tokenizer of text"):
        data(tokenizer_path=str(tmp_path / "one.ckpt")).tokenizer  # noqa: B018


def test_long_pairs_are_left_out_of_training_alone_and_counted() -> None:
    lengths = [max(len(de), len(en)) + 1 for de, en in TRAIN]
    limit = int(np.median(lengths))
    of = data(tokens={"max_len": limit})
    of.setup("fit")
    assert of.left_out == sum(length > limit for length in lengths) > 0
    assert len(of.train_set) == len(TRAIN) - of.left_out
    assert of.train_set.lengths.max() == limit
    assert len(of.val_set) == len(VAL)
    ratio = data(tokens={"max_ratio": 1.1})
    ratio.setup("fit")
    kept = [max(len(de), len(en)) + 1 <= 1.1 * (min(len(de), len(en)) + 1) for de, en in TRAIN]
    assert len(ratio.train_set) == sum(kept) < len(TRAIN)
    with pytest.raises(ValueError, match=r"^tokens\.max_len 2 leaves no training pair"):
        data(tokens={"max_len": 2}).setup("fit")


def test_batches_by_tokens_keep_the_bound_and_have_every_pair_once() -> None:
    of = data(batch_tokens=200)
    of.setup("fit")
    batches = list(of.train_dataloader())
    assert sorted(row for batch in batches for row in batch["index"].tolist()) == list(range(len(TRAIN)))
    for batch in batches:
        assert max(batch["source_ids"].numel(), batch["target_ids"].numel()) <= 200
        assert "sources" not in batch
    assert len(batches) > 5


@pytest.mark.parametrize("settings", [{"batch_tokens": 200}, {"batch_size": 8}])
def test_training_resumes_at_the_same_batch_with_the_checkpoints_seed(settings: dict[str, Any]) -> None:
    whole = data(**settings)
    whole.setup("fit")
    loader = whole.train_dataloader()
    expected = numbers(loader) + numbers(loader)
    stopped = data(**settings)
    stopped.setup("fit")
    iterator = iter(stopped.train_dataloader())
    for _ in range(3):
        next(iterator)
    torch.manual_seed(77)
    resumed = data(seed=None, **settings)
    resumed.setup("fit")
    resumed.load_state_dict(stopped.state_dict())
    again = resumed.train_dataloader()
    assert numbers(again) + numbers(again) == expected[3:]


@pytest.mark.parametrize("settings", [{"batch_tokens": 400}, {"batch_size": 8}])
def test_two_ranks_train_on_the_batches_of_one(settings: dict[str, Any]) -> None:
    whole = data(**settings)
    whole.setup("fit")
    halves = []
    for rank in range(2):
        one = data(**{name: value // 2 for name, value in settings.items()})
        one.trainer = types.SimpleNamespace(world_size=2, global_rank=rank, overfit_batches=0)  # type: ignore[assignment]
        one.setup("fit")
        halves.append(numbers(one.train_dataloader()))
        assert [len(rows) for rows in numbers(one.val_dataloader())] == [len(VAL) // 2]
    joined = [sorted(a + b) for a, b in zip(*halves, strict=True)]
    assert joined == [sorted(rows) for rows in numbers(whole.train_dataloader())]


def test_evaluation_has_texts_and_does_not_depend_on_the_seed() -> None:
    first, second = data(seed=1), data(seed=2)
    for of in (first, second):
        of.setup("fit")
        of.setup("test")
    assert numbers(first.val_dataloader()) == numbers(second.val_dataloader())
    assert numbers(first.train_dataloader()) != numbers(second.train_dataloader())
    (batch,) = first.test_dataloader()
    assert {(de, en) for de, en in zip(batch["sources"], batch["references"], strict=True)} == set(TEST)
    for row in range(len(TEST)):
        labels = batch["labels"][row]
        text = first.tokenizer.target.decode(labels[labels >= 0].tolist())
        assert (batch["sources"][row], batch["references"][row]) == TEST[batch["index"][row]]
        assert text == batch["references"][row]


def test_predict_has_a_row_for_every_line_in_order(tmp_path: Path) -> None:
    lines = ["Ein Hund.", "", "Ein sehr langer Satz mit vielen Wörtern und noch mehr.", "a\u2028b", "", "Ende"]
    file = tmp_path / "in.txt"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    of = data(texts_path=str(file), batch_size=2)
    of.setup("predict")
    rows = {
        int(index): (source, ids)
        for batch in of.predict_dataloader()
        for index, source, ids in zip(batch["index"], batch["sources"], batch["source_ids"], strict=True)
    }
    assert [rows[at][0] for at in range(len(rows))] == lines
    assert rows[1][1].tolist()[0] == EOS  # an empty line is its end alone
    file.write_text("\n".join(lines[:2]), encoding="utf-8")  # no line end: the second line is empty, and is not there
    of = data(texts_path=str(file))
    of.setup("predict")
    assert len(of.predict_set) == 1
    file.write_bytes(b"ok\n\xff\n")
    with pytest.raises(ValueError, match=r"^texts_path .*in\.txt: line 2 is not UTF-8"):
        data(texts_path=str(file)).setup("predict")
    file.write_bytes(b"")
    with pytest.raises(ValueError, match=r"^texts_path .*in\.txt: the file is empty"):
        data(texts_path=str(file)).setup("predict")
    with pytest.raises(FileNotFoundError, match=r"^texts_path .*no\.txt: no such file"):
        data(texts_path=str(tmp_path / "no.txt")).setup("predict")


def test_predict_has_examples_in_the_source_language() -> None:
    for source, target, side in (("de", "en", 0), ("en", "de", 1)):
        of = data(source=source, target=target)
        of.setup("predict")
        assert of.predict_set.texts == [pair[side] for pair in TEST]
    with pytest.raises(ValueError, match=r"^texts is not given; give sentences in fr,"):
        data(source="fr").examples  # noqa: B018


def test_the_hub_is_read_by_columns_and_says_what_to_do_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Table(list):
        features: ClassVar[dict[str, Any]] = {}

    def rows(pairs: Any, nested: bool) -> Table:
        made = [{"de": de, "en": en} for de, en in pairs]
        return Table([{"translation": row} for row in made] if nested else made)

    for nested in (False, True):
        splits = {"train": rows(TRAIN, nested), "validation": rows(VAL, nested), "test": rows(TEST, nested)}
        fake = types.SimpleNamespace(load_dataset=lambda *args, splits=splits, **kwargs: splits)
        monkeypatch.setitem(sys.modules, "datasets", fake)
        of = data(text={"hub": "bentrevett/multi30k"})
        assert [pairs_of(of, name) for name in ("train", "val", "test")] == [set(TRAIN), set(VAL), set(TEST)]
        with pytest.raises(ValueError, match=r"^bentrevett/multi30k, split train: row 1 has no 'fr', only"):
            data(text={"hub": "bentrevett/multi30k"}, source="fr").read("train")

    def fails(*args: Any, **kwargs: Any) -> None:
        raise ConnectionError("Couldn't reach the Hub")

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=fails))
    with pytest.raises(
        ValueError, match=r"^text\.hub bentrevett/multi30k could not be loaded .*give files with --data\.path"
    ):
        data(text={"hub": "bentrevett/multi30k"}).read("train")
