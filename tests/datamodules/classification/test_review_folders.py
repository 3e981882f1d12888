"""Reviews from folders and zips: three layouts, damaged or too large files, and nothing is written to disk."""

import io
import os
import struct
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from helpers.review_files import LONG, SENTENCES, as_folder, as_zip

from datamodules.classification import review_folders
from datamodules.classification.review_folders import read_reviews


@pytest.mark.parametrize("pack", [as_zip, as_folder])
def test_one_review_per_file(tmp_path: Path, pack: Any) -> None:
    found = read_reviews(pack(LONG, tmp_path / "long"))
    assert Counter(review.label for review in found) == {"neg": 50, "pos": 50}
    assert {(review.text, review.number, review.split) for review in found if review.number == 40} == {
        ("neg review 40 .\nits end", 40, None),
        ("pos review 40 .\nits end", 40, None),
    }


@pytest.mark.parametrize("pack", [as_zip, as_folder])
def test_one_sentence_per_line_in_latin_1(tmp_path: Path, pack: Any) -> None:
    found = read_reviews(pack(SENTENCES, tmp_path / "sentences"))
    assert [review.text for review in found if review.label == "pos"] == [f"café {i} ." for i in range(40)]
    assert [review.text for review in found if review.label == "neg"] == [f"bad {i}\x85 ." for i in range(40)]


def test_an_empty_review_is_named(tmp_path: Path) -> None:
    path = as_zip(LONG | {"movies/neg/cv001_1.txt": b" \n"}, tmp_path / "a.zip")
    with pytest.warns(UserWarning, match=r"1 rows are left out: movies/neg/cv001_1\.txt line 1: the text is empty"):
        assert len(read_reviews(path)) == 100


def test_files_that_are_too_large_or_damaged_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = as_zip(LONG, tmp_path / "a.zip")
    content = Path(path).read_bytes()
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"^path .*damaged\.zip: cannot be read"):
        read_reviews(str(damaged))
    (tmp_path / "no.zip").write_bytes(b"no zip")
    with pytest.raises(ValueError, match=r"^path .*no\.zip: cannot be read"):
        read_reviews(str(tmp_path / "no.zip"))
    with pytest.raises(ValueError, match="has no reviews of two classes"):
        read_reviews(as_zip({"a/README.txt": b"x", "a/pos/1.txt": b"x"}, tmp_path / "one.zip"))
    with pytest.raises(FileNotFoundError, match="no such folder or file"):
        read_reviews(str(tmp_path / "none"))
    for limit, value, message in (
        ("MAX_FILE", 5, "is larger than"),
        ("MAX_TOTAL", 50, "holds more than"),
        ("MAX_FILES", 9, "more than 9"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(review_folders, limit, value)
            for place in (path, as_folder(LONG, tmp_path / "folder")):
                with pytest.raises(ValueError, match=f"^path .*{message}"):
                    read_reviews(place)


@pytest.mark.parametrize("pack", [as_zip, as_folder])
def test_files_that_nobody_meant_are_no_reviews(tmp_path: Path, pack: Any, caplog: pytest.LogCaptureFixture) -> None:
    stray = {
        "movies/pos/._cv000_0.txt": b"Mac OS X", "movies/neg/.cv000_0.txt.swp": b"b0VIM",
        "movies/neg/old.bak.txt": b"x",
        "movies/.ipynb_checkpoints/a-checkpoint.txt": b"my notes", "movies/neg/Thumbs.db": b"x",
    }  # fmt: skip
    upper = {f"movies/neg/cv9{number:02d}_1.TXT": b"neg" for number in range(3)}
    found = read_reviews(pack(LONG | stray | upper, tmp_path / "long"))
    assert Counter(review.label for review in found) == {"neg": 53, "pos": 50}
    assert "passed over: 5 hidden or backup files (movies/.ipynb_checkpoints/a-checkpoint.txt, " in caplog.text
    assert "2 other files (movies/README, movies/README.txt)" in caplog.text


def test_a_zip_of_another_system_and_names_that_are_no_utf_8(tmp_path: Path) -> None:
    made = as_zip({name.replace("/", "\\"): content for name, content in LONG.items()}, tmp_path / "windows.zip")
    assert Counter(review.label for review in read_reviews(made)) == {"neg": 50, "pos": 50}
    folder = Path(as_folder(LONG, tmp_path / "long"))
    (folder / "movies/pos").rename(folder / "movies" / os.fsdecode(b"b\xf6se"))
    assert {review.label for review in read_reviews(str(folder))} == {"neg", "b\\xf6se"}


def test_a_zip_that_states_too_small_a_size_is_refused(tmp_path: Path) -> None:
    """A bomb: the directory says 10 bytes, and the stream goes on."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/neg/1.txt", b"x" * 100_000)
        archive.writestr("m/pos/1.txt", b"y")
    content = packed.getvalue().replace(struct.pack("<I", 100_000), struct.pack("<I", 10))
    (tmp_path / "bomb.zip").write_bytes(content)
    with pytest.raises(ValueError, match=r"^path .*bomb\.zip: "):
        read_reviews(str(tmp_path / "bomb.zip"))


def test_a_zip_is_not_unpacked_to_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    monkeypatch.chdir(inside)
    path = as_zip({"../neg/1.txt": b"bad", "../pos/1.txt": b"good", "/etc/pos/2.txt": b"x"}, tmp_path / "evil.zip")
    assert {review.text for review in read_reviews(path)} >= {"bad", "good"}
    assert sorted(found.name for found in tmp_path.rglob("*")) == ["evil.zip", "inside"]


def test_folders_say_what_is_validation(tmp_path: Path) -> None:
    for split in ("Train", "valid", "test"):
        for label in ("pos", "val"):  # a class may be called so
            (folder := tmp_path / split / label).mkdir(parents=True)
            (folder / "1.txt").write_text(f"{split} {label}")
    found = {(review.text, review.label): review.split for review in read_reviews(str(tmp_path), None, "path")}
    expected = {"Train": "train", "valid": "val", "test": "test"}
    assert found == {(f"{split} {label}", label): expected[split] for split in expected for label in ("pos", "val")}
