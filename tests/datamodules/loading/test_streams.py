"""Files made once, texts read piece by piece, ids mapped from the disk, windows that cover a stream as they say."""

import codecs
import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.loading.cache import cache_folder, once
from datamodules.loading.ordered_windows import OrderedWindows
from datamodules.loading.streams import encode_once, smallest_type
from datamodules.loading.token_windows import RandomWindows, TiledWindows, TokenStream, Windows
from datamodules.text import text_files
from datamodules.text.text_files import TextFiles, find_text_files
from seqlight.core.errors import WritingError
from seqlight.core.labels import IGNORED


def stream(folder: Path, ids: np.ndarray, vocab_size: int = 70_000) -> TokenStream:
    return encode_once(folder, f"s{len(ids)}-{vocab_size}", vocab_size, lambda: [ids[:3], ids[3:]])


def targets(data: Windows) -> list[int]:
    """Which places of the stream 0, 1, 2 ... are labels that count, in order; checks each window."""
    places: list[int] = []
    for row in range(len(data)):
        batch = data.__getitems__([row])
        inputs, labels = batch["input_ids"][0].numpy(), batch["labels"][0].numpy()
        counted = labels != IGNORED
        assert np.array_equal(inputs[counted] + 1, labels[counted])
        assert batch["characters"].item() == counted.sum()
        assert batch["index"].item() == row
        places += labels[counted].tolist()
    return places


# Files -------------------------------------------------------------------------------------------------------------


def test_paths_mean_files_folders_patterns_and_lists(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "deep/c.txt", "deep/d.md", "odd[1].txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)

    def names(*paths: str) -> list[str]:
        return [file.name for file in find_text_files([str(tmp_path / path) for path in paths])]

    assert names("") == ["a.txt", "b.txt", "c.txt", "odd[1].txt"]
    assert names("*.txt") == ["a.txt", "b.txt", "odd[1].txt"]
    assert names("**/*.md") == ["d.md"]
    assert names("odd[1].txt") == ["odd[1].txt"]  # a file's name before a pattern
    assert names("b.txt", "*.txt") == ["b.txt", "a.txt", "odd[1].txt"]  # a list keeps its order, no file twice
    assert find_text_files(str(tmp_path / "a.txt")) == [tmp_path / "a.txt"]
    for path in ("", []):
        with pytest.raises(ValueError, match=r"^path .* is empty"):
            find_text_files(path)
    with pytest.raises(FileNotFoundError, match=r"^path .*e\.txt: no such file"):
        find_text_files(str(tmp_path / "e.txt"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"^path .*empty: the folder has no \.txt file"):
        find_text_files(str(tmp_path / "empty"))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_pieces_are_what_python_reads(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "PIECE", size)
    monkeypatch.setattr(text_files, "LONGEST_LINE", 4 * size)
    texts = ["naïve €\r\n😀\n\nlast\r", "\ufeffsecond file\n", "", "no end of a line that is long"]
    files = [tmp_path / str(i) for i in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_bytes(text.encode())
    expected = "".join(file.read_text(encoding="utf-8-sig") for file in files)
    text = TextFiles(files)
    assert text.count() == len(expected)
    for start, stop in ((0, None), (0, 5), (3, 40), (8, 8), (30, None), (0, 10_000)):
        assert "".join(text.pieces(start, stop)) == expected[start:stop]
        assert "".join(text.line_pieces(start, stop)) == expected[start:stop]
    if size == 1000:
        assert all(piece.endswith("\n") for piece in list(text.line_pieces())[:-1])


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
@pytest.mark.parametrize(
    ("data", "encoding", "byte"),
    [
        ("é€ab".encode() + b"\xff" + b"cd", "utf-8", 7),
        (b"\xef\xbb\xbfabc\xe9t\xe9", "utf-8", 6),
        (b"abc\xe2\x82", "utf-8", 3),
        (b"abc\xe9", "ascii", 3),
    ],
)
def test_a_wrong_byte_is_named(
    size: int, data: bytes, encoding: str, byte: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_files, "PIECE", size)
    (tmp_path / "bad").write_bytes(data)
    with pytest.raises(ValueError, match=rf"^path .*bad: byte {byte} \(0x{data[byte]:02x}\) is not {encoding}"):
        TextFiles([tmp_path / "bad"], encoding).count()
    if not data.startswith(codecs.BOM_UTF8):  # the mark decides
        assert TextFiles([tmp_path / "bad"], "latin-1").count() == len(data)


@pytest.mark.parametrize("encoding", ["nonsense", "base64"])
def test_unknown_encodings_are_refused(encoding: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"^text\.encoding '{encoding}' is not known"):
        TextFiles([], encoding)


def test_a_changed_file_has_another_fingerprint(tmp_path: Path) -> None:
    file, copy = tmp_path / "a", tmp_path / "b"
    for path in (file, copy):
        path.write_text("one")
        os.utime(path, ns=(1, 1))
    first = TextFiles([file]).fingerprint
    assert first == TextFiles([copy]).fingerprint != TextFiles([file], "latin-1").fingerprint
    file.write_text("two")
    os.utime(file, ns=(1, 1))  # of the same size and time
    assert first != TextFiles([file]).fingerprint


# Cache -------------------------------------------------------------------------------------------------------------


def write_slowly(path: Path) -> None:
    with (path.parent / "calls").open("a") as file:
        file.write("x")
    for _ in range(1000):
        with path.open("a") as file:
            file.write("y")


def test_several_processes_make_a_file_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=once, args=(tmp_path / "made", write_slowly)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert (tmp_path / "made").read_text() == 1000 * "y"
    assert (tmp_path / "calls").read_text() == "x"


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    def pieces() -> Iterator[np.ndarray]:
        yield np.arange(3)
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        encode_once(tmp_path, "s", 10, pieces)
    assert [path.suffix for path in tmp_path.iterdir() if path.suffix != ".lock"] == []
    assert encode_once(tmp_path, "s", 10, lambda: [np.arange(3)]).ids.tolist() == [0, 1, 2]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda held: held[:-1],
    "grown": lambda held: held + b"\0",
    "zeroed": lambda held: held[:500] + bytes(100) + held[600:],
    "flipped": lambda held: held[:700] + bytes([held[700] ^ 4]) + held[701:],
    "empty": lambda held: b"",
}


@pytest.mark.parametrize("beside", [False, True])
def test_a_damaged_file_is_named_and_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture, beside: bool) -> None:
    caplog.set_level("INFO")
    ids, made = np.arange(1000) % 251 + 1, []

    def arrays() -> list[np.ndarray]:
        made.append(True)
        return [ids]

    path = encode_once(tmp_path, "s", 256, arrays).path
    for number, damage in enumerate(DAMAGES.values(), start=2):
        damaged = tmp_path / f".{path.name}.sha256" if beside else path
        whole = damaged.read_bytes()
        damaged.write_bytes(damage(whole.ljust(1000, b" ")) if beside else damage(whole))
        os.utime(damaged, ns=(1, 1))
        assert encode_once(tmp_path, "s", 256, arrays).ids.tolist() == ids.tolist()
        assert len(made) == number
        assert damaged.read_bytes() == whole
    assert caplog.text.count(f"{path} is damaged, or of a version without checksums, and is made anew") == 5
    assert encode_once(tmp_path, "s", 256, arrays).path == path
    assert len(made) == 6


def test_the_cache_is_where_systems_keep_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "seqlight"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache/seqlight"
    assert cache_folder(str(tmp_path / "x")) == tmp_path / "x"
    (tmp_path / "file").write_text("")
    with pytest.raises(WritingError, match=r"/file cannot be written .*give another folder by --data\.cache_dir"):
        once(tmp_path / "file/x", write_slowly)


# Streams -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "name"), [(1, "uint8"), (256, "uint8"), (257, "uint16"), (65_537, "uint32")])
def test_ids_take_the_smallest_type(size: int, name: str, tmp_path: Path) -> None:
    assert smallest_type(size).name == name
    ids = np.array([0, size - 1, 0, size - 1])
    made = stream(tmp_path, ids, size)
    assert made.ids.tolist() == ids.tolist()
    assert len(made) == 4
    assert made.path.stat().st_size == 4 * smallest_type(size).itemsize
    assert not made.ids.flags.writeable


def test_a_stream_is_sent_to_workers_by_its_path(tmp_path: Path) -> None:
    made = stream(tmp_path, np.arange(50_000))
    assert made.ids[7] == 7
    sent = pickle.dumps(made)
    assert len(sent) < 1000
    assert np.array_equal(pickle.loads(sent).ids, np.arange(50_000))


# Windows -----------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_evaluation_counts_each_token_once_with_enough_context(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    length = data.draw(st.integers(1, 12))
    count = data.draw(st.integers(length + 1, 60))
    stride = data.draw(st.one_of(st.none(), st.integers(1, length)))
    windows = OrderedWindows(
        stream(tmp_path_factory.getbasetemp(), np.arange(count)), length, np.ones(70_000, int), stride
    )
    assert targets(windows) == list(range(1, count))
    batch = windows.__getitems__(range(len(windows)))
    assert (batch["labels"] != IGNORED).sum() == batch["characters"].sum() == count - 1
    for row, labels in enumerate(batch["labels"].numpy()):
        counted = np.flatnonzero(labels != IGNORED)
        assert len(counted) > 0
        assert counted[0] == (
            0 if row == 0 else length - (stride or length)
        )  # tokens read before the first that counts
    short = batch["input_ids"][-1].numpy()
    real = count - 1 - (len(windows) - 1) * (stride or length)  # places of the last window that have a label
    assert (short[real:] == count - 1).all()  # past the end the last id is repeated
    assert (batch["labels"][-1].numpy()[real:] == IGNORED).all()


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_tiled_crops_take_no_token_twice_in_a_pass(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    length, seed = data.draw(st.integers(1, 12)), data.draw(st.integers(0, 9))
    count = data.draw(st.integers(length + 1, 90))
    ids = stream(tmp_path_factory.getbasetemp(), np.arange(count))
    windows = TiledWindows(ids, length, np.ones(70_000, int), seed=seed)
    for epoch in range(3):
        rows = range(epoch * len(windows), (epoch + 1) * len(windows))
        batch = windows.__getitems__(rows)
        labels = batch["labels"].numpy().ravel()
        assert len(set(labels.tolist())) == len(labels) == len(windows) * length
        assert len(labels) > count - 2 * length - 1  # all but fewer than two windows
        assert np.array_equal(batch["input_ids"].numpy() + 1, batch["labels"].numpy())


def test_tiled_passes_differ_in_offset_and_order_and_epochs_may_be_any_part_of_a_pass(tmp_path: Path) -> None:
    ids = stream(tmp_path, np.arange(1000))
    windows = TiledWindows(ids, 10, np.ones(70_000, int), seed=1)
    assert len(windows) == 99
    passes = [windows.__getitems__(range(k * 99, k * 99 + 99))["input_ids"][:, 0].numpy() for k in range(20)]
    assert len({int(starts.min()) for starts in passes}) > 5
    assert not np.array_equal(np.argsort(passes[0]), np.argsort(passes[1]))
    assert all(not np.array_equal(starts, np.sort(starts)) for starts in passes)
    parts = TiledWindows(ids, 10, np.ones(70_000, int), 7, seed=1)
    assert len(parts) == 7
    across = parts.__getitems__(range(90, 110))["input_ids"][:, 0].numpy()  # from one pass into the next
    assert np.array_equal(across, np.concatenate((passes[0][90:], passes[1][:11])))


@pytest.mark.parametrize("cls", [RandomWindows, TiledWindows])
def test_a_training_window_follows_from_its_number(cls: type[Windows], tmp_path: Path) -> None:
    ids = stream(tmp_path, np.arange(500))
    windows = cls(ids, 8, np.ones(70_000, int), 20, seed=3)
    whole = windows.__getitems__(range(200))
    rows = [150, 3, 77, 199, 3]
    copy = pickle.loads(pickle.dumps(windows))
    for data in (windows, copy):
        assert np.array_equal(data.__getitems__(rows)["input_ids"], whole["input_ids"][rows])
    assert np.array_equal(windows[42]["labels"], whole["labels"][42])
    windows.seed = 4
    assert not np.array_equal(windows.__getitems__(range(200))["input_ids"], whole["input_ids"])


def test_random_crops_reach_both_ends_evenly(tmp_path: Path) -> None:
    windows = RandomWindows(stream(tmp_path, np.arange(20)), 10, np.ones(70_000, int), seed=0)
    starts = windows.__getitems__(range(10_000))["input_ids"][:, 0].numpy()
    counts = np.bincount(starts, minlength=10)
    assert len(counts) == 10  # 0 ... 9: the last window's last label is the last token
    assert np.abs(counts - 1000).max() < 5 * 900**0.5


def test_random_evaluation_is_the_same_every_time(tmp_path: Path) -> None:
    ids = stream(tmp_path, np.arange(300))
    windows = RandomWindows(ids, 16, np.ones(70_000, int), 50, seed=9)
    assert len(windows) == 50
    batch, again = windows.__getitems__(range(50)), RandomWindows(ids, 16, np.ones(70_000, int), 50, seed=9)
    assert np.array_equal(batch["input_ids"], again.__getitems__(range(50))["input_ids"])
    assert (batch["labels"] == batch["input_ids"] + 1).all()
    assert (batch["characters"] == 16).all()
    assert len(set(batch["input_ids"][:, 0].tolist())) > 35


def test_a_batch_counts_the_characters_of_its_labels(tmp_path: Path) -> None:
    made = stream(tmp_path, np.array([0, 1, 2, 3, 2, 1, 3]), 4)
    windows = OrderedWindows(made, 4, np.array([100, 1, 5, 0]))
    assert windows.__getitems__([0, 1])["characters"].tolist() == [1 + 5 + 0 + 5, 1 + 0]
