"""Streamed documents: each once a pass, the same windows for any ranks and workers, resumed at any of them."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from datamodules import StreamingTextDataModule
from datamodules.loading.stream_batches import StreamLoader
from datamodules.text.document_source import DocumentConfig, DocumentSource, DocumentStream
from datamodules.text.packed_windows import PackedWindows
from datamodules.text.stream_config import HeldOutConfig
from datamodules.tokenizers import ByteTokenizer
from seqlight.core.errors import UserError

WORDS = ["the", "cat", "sat", "on", "a", "mat", "dog", "ran", "to", "man", "naïve", "€uro"]
DOCUMENTS = [f"{i}: " + " ".join(random.Random(i).choices(WORDS, k=5 + i % 40)) for i in range(300)]


def write(folder: Path, kind: str, shards: int = 3) -> str:
    """The documents in some shards; returns the folder."""
    folder = folder / f"{kind}-{shards}"
    folder.mkdir()
    for number in range(shards):
        own = DOCUMENTS[number::shards]
        rows = "".join(json.dumps({"id": i, "text": text}) + "\n" for i, text in enumerate(own))
        if kind == "jsonl":
            (folder / f"{number}.jsonl").write_text(rows)
        elif kind == "jsonl.gz":
            (folder / f"{number}.jsonl.gz").write_bytes(gzip.compress(rows.encode()))
        elif kind == "parquet":
            pq.write_table(pa.table({"id": range(len(own)), "text": own}), folder / f"{number}.parquet", 20)
        else:
            (folder / f"[{number}].txt").write_text("\n\n".join(own))
    return str(folder)


KINDS = ("jsonl", "jsonl.gz", "parquet", "txt")


@pytest.fixture
def path(tmp_path: Path) -> str:
    return write(tmp_path, "jsonl")


def streaming(path: str | list[str] | None, **kwargs: Any) -> StreamingTextDataModule:
    settings: dict[str, Any] = {
        "tokenizer": "byte", "seq_len": 16, "batch_size": 4, "seed": 1, "held_out": {"fraction": 0.1},
        "stream": {"num_streams": 4, "shuffle_buffer": 10, "epoch_size": 40},
    }  # fmt: skip
    data = StreamingTextDataModule(path=path, **settings | kwargs)
    data.setup("fit")
    return data


def epochs(loader: StreamLoader, count: int) -> list[dict[str, torch.Tensor]]:
    return [batch for _ in range(count) for batch in loader]


def same(one: list[dict[str, torch.Tensor]], other: list[dict[str, torch.Tensor]]) -> bool:
    return all(torch.equal(a[name], b[name]) for a, b in zip(one, other, strict=True) for name in a)


def passes(stream: DocumentStream, size: int) -> list[str]:
    """The documents of the stream up to ``size`` of them."""
    found: list[str] = []
    while len(found) < size:
        found += stream.next()
    assert len(found) == size
    return found


# Documents ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 3, 4])
def test_each_document_comes_once_in_a_pass(kind: str, count: int, tmp_path: Path) -> None:
    source = DocumentSource(write(tmp_path, kind), DocumentConfig(), tmp_path)
    assert sorted(text for texts in source.read() for text in texts) == sorted(DOCUMENTS)
    orders = []
    for seed in (0, 1):
        streams = [DocumentStream(source, number, count, seed) for number in range(count)]
        first = [passes(stream, 300 // count) for stream in streams]
        assert sorted(text for own in first for text in own) == sorted(DOCUMENTS)
        again = [passes(stream, 300 // count) for stream in streams]
        assert sorted(text for own in again for text in own) == sorted(DOCUMENTS)
        orders += [first, again]
    if count == 1:  # the order of the shards is another in some pass
        assert any(order != orders[0] for order in orders)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [3, 4])
def test_a_stream_of_documents_goes_on_where_it_was(kind: str, count: int, tmp_path: Path) -> None:
    source = DocumentSource(write(tmp_path, kind), DocumentConfig(), tmp_path)
    stream = DocumentStream(source, 1, count, 0)
    states, batches = [stream.state_dict()], []
    for _ in range(12):
        batches.append(stream.next())
        states.append(json.loads(json.dumps(stream.state_dict())))  # plain data
    assert states[-1]["pass"] > 0
    for at, state in enumerate(states[:-1]):
        stream.load_state_dict(state)
        assert [stream.next() for _ in batches[at:]] == batches[at:], at


def test_the_folder_is_not_read_in_several_kinds(tmp_path: Path, path: str) -> None:
    (Path(path) / "more.txt").write_text("a text")
    with pytest.raises(UserError, match=r"^path: .* several kinds \(json, text\)"):
        streaming(path).train_source.dataset()
    assert len(DocumentSource(f"{path}/*.jsonl", DocumentConfig(), tmp_path).files) == 3


def test_columns_are_found_or_named(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"n": 1, "body": "one"}\n{"n": 2, "body": null}\n')
    assert list(DocumentSource(str(file), DocumentConfig(), tmp_path).read()) == [["one", ""]]
    with pytest.raises(UserError, match=r"^text\.column 'n' is no column of text in path .*; it has body"):
        list(DocumentSource(str(file), DocumentConfig(column="n"), tmp_path).read())


@pytest.mark.parametrize(
    ("name", "content"), [("a.jsonl", b'{"text": "a"}\n{"tex'), ("a.parquet", b"PAR1 no"), ("a.txt", b"a\xff\xfe")]
)
def test_a_damaged_file_is_one_line(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"^path .*{name} cannot be read \(\w+: "):
        list(DocumentSource(str(tmp_path / name), DocumentConfig(), tmp_path).read())


@pytest.mark.parametrize("workers", [0, 1])
def test_damage_in_the_middle_of_training_is_one_line(workers: int, tmp_path: Path) -> None:
    good = "".join(json.dumps({"text": text}) + "\n" for text in DOCUMENTS)
    for name in ("0.jsonl", "held.jsonl"):
        (tmp_path / name).write_text(good)
    (tmp_path / "1.jsonl").write_text('{"text": 1\n')
    files = [str(tmp_path / f"{number}.jsonl") for number in range(2)]
    data = streaming(
        files, held_out={"path": str(tmp_path / "held.jsonl")}, num_workers=workers,
        stream={"num_streams": 1, "shuffle_buffer": 4, "epoch_size": 4000},
    )  # fmt: skip
    with pytest.raises(UserError, match=r"^path .* cannot be read \(") as error:
        list(data.train_dataloader())
    assert "\n" not in str(error.value)


# Hub ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_splits_of_a_data_set_of_the_hub(kind: str, tmp_path: Path) -> None:
    """A folder in the hub's layout is loaded as a repository of the hub is, by its name."""
    folder = Path(write(tmp_path, kind))
    (folder / "data").mkdir()
    for number, split in enumerate(("train", "validation", "test")):
        (folder / f"{number}.{kind}").rename(folder / f"data/{split}-0.{kind}")
    data = streaming(None, text={"hub": str(folder)}, held_out={"split": "validation", "test_split": "test"})
    for number, text in enumerate((data.train_text(), data.val_text(), data.test_text())):
        assert text == "".join(f"{document}\n\n" for document in DOCUMENTS[number::3])
    assert len(epochs(data.train_dataloader(), 1)) == 10


def test_without_a_network_one_line_says_what_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*args: Any, **kwargs: Any) -> None:
        raise ConnectionError("Couldn't reach\nthe hub")

    monkeypatch.setattr(datasets, "load_dataset_builder", unreachable)
    with pytest.raises(UserError, match=r"^text\.hub a/b could not be loaded .*give text files with --data\.path$"):
        streaming(None, text={"hub": "a/b"})


# Windows -----------------------------------------------------------------------------------------------------------


def test_windows_hold_every_document_once_and_in_order(path: str, tmp_path: Path) -> None:
    documents = DocumentStream(DocumentSource(path, DocumentConfig(), tmp_path), 0, 1, 0)
    expected = "".join(f"{text}|" for text in passes(documents, 300)).encode()
    documents = DocumentStream(documents.source, 0, 1, 0)
    windows = PackedWindows(documents, lambda text: ByteTokenizer().encode_array(text + "|"), 16, 10, seed=3)
    blocks: list[list[list[int]]] = []
    taken = []
    while sum(map(len, blocks)) * 16 + 1 < len(expected):
        window = windows.next()
        if windows.state["window"] == sum(map(len, blocks[:-1])) + (len(blocks[-1]) if blocks else 0):
            blocks.append([])
            taken.append(windows._order.tolist())
        blocks[-1].append(window.tolist())
    text = b""
    for order, block in zip(taken, blocks, strict=True):
        in_order = dict(zip(order, block, strict=False))
        for place in sorted(in_order):
            if len(in_order) < len(order):
                break  # the last block is not complete
            assert not text or text[-1] == in_order[place][0]
            text += bytes(in_order[place][1 if text else 0 :])
    assert len(text) > 3000
    assert expected.startswith(text)
    assert any(order != sorted(order) for order in taken)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(workers: int, path: str) -> None:
    alone = epochs(streaming(path).train_dataloader(), 3)
    assert same(alone, epochs(streaming(path, num_workers=workers).train_dataloader(), 3))
    assert not same(alone, epochs(streaming(path, seed=2).train_dataloader(), 3))
    assert torch.cat([batch["index"] for batch in alone]).tolist() == list(range(120))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@pytest.mark.parametrize("stop", [0, 3, 10, 27])
def test_resumed_equals_uninterrupted(stop: int, kind: str, workers: int, tmp_path: Path) -> None:
    path = write(tmp_path, kind)
    whole = epochs(streaming(path).train_dataloader(), 4)
    first = streaming(path, num_workers=workers)
    loader, seen = first.train_dataloader(), []
    while len(seen) < stop:
        for batch in loader:  # left in the middle of an epoch, with batches that workers have made beyond it
            seen.append(batch)
            if len(seen) == stop:
                break
    state = first.state_dict()
    resumed = streaming(path, num_workers=2 - workers, seed=None)
    resumed.load_state_dict(json.loads(json.dumps(state)))
    loader = resumed.train_dataloader()
    assert len(loader) == 10
    rest = []
    while len(rest) < 40 - stop:
        rest += list(loader)
    assert same(whole, seen + rest)


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_share_the_rows_of_one(ranks: int, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = streaming(path, batch_size=8).train_dataloader()
    parts = []
    for rank in range(ranks):
        with monkeypatch.context() as patch:
            patch.setattr(StreamingTextDataModule, "_ranks", lambda self, r=rank: {"num_replicas": ranks, "rank": r})
            parts.append(streaming(path, batch_size=8 // ranks).train_dataloader())
    for batch, *shares in zip(*(epochs(loader, 2) for loader in (whole, *parts)), strict=True):
        for name, value in batch.items():
            assert torch.equal(value, torch.stack([share[name] for share in shares], 1).flatten(0, 1)), name


def test_refusals_of_a_resumed_stream(path: str) -> None:
    data = streaming(path)
    list(data.train_dataloader())
    state = data.state_dict()
    other = streaming(path, stream={"num_streams": 2, "shuffle_buffer": 10, "epoch_size": 40})
    with pytest.raises(UserError, match=r"^data\.stream\.num_streams 2 cannot go on from .* with 4"):
        other.load_state_dict(state)
    with pytest.raises(UserError, match=r"^data\.seq_len 8 cannot go on"):
        streaming(path, seq_len=8).load_state_dict(state)


# What is held out --------------------------------------------------------------------------------------------------


def test_held_out_documents_are_not_trained_on_nor_are_their_copies(tmp_path: Path) -> None:
    copies = "".join(json.dumps({"text": text}) + "\n" for text in DOCUMENTS * 2)
    (tmp_path / "a.jsonl").write_text(copies)
    data = streaming(str(tmp_path), stream={"num_streams": 1, "shuffle_buffer": 10, "epoch_size": 4000})
    held = [text for text in data.val_text().split("\n\n") if text]
    assert 20 < len(held) < 120
    assert all(held.count(text) == 2 for text in held)
    trained = set(passes(data._packed(0).documents, 600 - len(held)))
    assert trained | set(held) == set(DOCUMENTS)
    assert trained.isdisjoint(held)
    assert data.test_text() == data.val_text()
    decoded = data.tokenizer.decode(data.val_set.stream.ids)
    assert data.val_text().startswith(decoded)


def test_held_out_windows_are_the_first_and_limited(path: str) -> None:
    data = streaming(path, held_out={"fraction": 0.1, "windows": 5})
    data.setup("test")
    assert len(data.val_set) == len(data.test_set) == 5
    labels = torch.cat([batch["labels"] for batch in data.val_dataloader()]).flatten().tolist()
    assert data.tokenizer.decode(labels) == data.val_text().encode()[1:81].decode("utf-8", "replace")


def test_files_for_validation_and_test(path: str, tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("a validation text that fills a window\n")
    data = streaming(path, held_out={"path": str(tmp_path / "v.txt")})
    assert data.val_text() == data.test_text() == "a validation text that fills a window\n\n\n"
    assert all(data.is_trained_on(text) for text in DOCUMENTS)


def test_the_tokenizer_learns_from_the_first_training_documents(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in ["abc", "xyz", "Q" * 99]))
    config = {"num_streams": 1, "shuffle_buffer": 4, "epoch_size": 8, "tokenizer_characters": 9}
    (tmp_path / "v.txt").write_text("Q" * 99)
    data = streaming(
        str(tmp_path / "a.jsonl"), tokenizer="char", stream=config, held_out={"path": str(tmp_path / "v.txt")}
    )
    assert data.tokenizer.state()["alphabet"] == "\nabcxyz"
    learned = streaming(write(tmp_path, "parquet"), tokenizer="unigram", vocab_size=300)
    assert learned.vocab_size == 300


def test_the_built_in_documents_need_no_file() -> None:
    data = streaming(None, tokenizer="char")
    (first,) = epochs(data.train_dataloader(), 1)[:1]
    assert torch.equal(first["input_ids"][:, 1:], first["labels"][:, :-1])
    assert torch.equal(first["characters"], torch.full((4,), 16))
    assert "statement" in data.train_text()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"text": {"hub": "a/b"}}, r"^path .* and text\.hub a/b are both given"),
        ({"held_out": {"split": "validation"}}, r"^held_out\.split validation needs a data set of the hub"),
        ({"held_out": {"fraction": 1.0}}, r"^held_out\.fraction must be above 0 and below 1"),
        ({"held_out": {"path": "a", "split": "b"}}, r"^held_out\.path a and held_out\.split b are both given"),
        ({"stream": {"num_streams": 0}}, r"^stream\.num_streams must be at least 1"),
        ({"text": {"sample_by": "word"}}, r"^text\.sample_by must be one of"),
        ({"seq_len": 10_000}, r"^seq_len 10000 is too long for the \d+ tokens of the validation documents"),
    ],
)
def test_wrong_values_are_one_line(settings: dict[str, Any], message: str, path: str) -> None:
    with pytest.raises(UserError, match=message):
        streaming(path, **settings)


def test_a_stream_without_documents_is_refused(tmp_path: Path) -> None:
    for name in ("a.jsonl", "held.jsonl"):
        (tmp_path / name).write_text(json.dumps({"text": "the only document, of some length"}) + "\n")
    data = streaming(str(tmp_path / "a.jsonl"), held_out={"path": str(tmp_path / "held.jsonl")})
    with pytest.raises(UserError, match=r"stream 1 of 4 has no document to train on; give fewer"):
        list(data.train_dataloader())


def test_streams_are_divided_evenly_over_processes(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StreamingTextDataModule, "_ranks", lambda self: {"num_replicas": 3, "rank": 0})
    with pytest.raises(UserError, match=r"^data\.stream\.num_streams 4 is not a multiple of the 3 processes"):
        streaming(path).train_dataloader()


def test_what_is_held_out_must_not_be_trained_on(tmp_path: Path) -> None:
    for n in range(3):
        (tmp_path / f"{n}.jsonl").write_text(json.dumps({"text": f"document {n}"}) + "\n")
    for held_out in ({"path": str(tmp_path / "2.jsonl")}, {"test_path": str(tmp_path / "2.jsonl")}):
        data = StreamingTextDataModule(str(tmp_path), held_out=HeldOutConfig(**held_out), cache_dir=str(tmp_path / "c"))
        with pytest.raises(ValueError, match=r"held_out: .*2.jsonl is among the files of path too"):
            data.test_text()
