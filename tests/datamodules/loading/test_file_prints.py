"""The contents of a datamodule's files are recognised wherever they lie; hidden files do not count."""

from pathlib import Path

import pytest

from datamodules.loading.file_prints import file_prints, files_of


def test_every_way_to_name_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a/1.txt", "a/b/2.txt", "a/.git/3.txt", "c.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    a = [tmp_path / "a/1.txt", tmp_path / "a/b/2.txt"]
    assert files_of("a") == files_of(str(tmp_path / "a")) == files_of("a/**/*.txt") == a
    assert files_of(["c.txt", "a/*.txt"]) == [tmp_path / "c.txt", tmp_path / "a/1.txt"]
    assert files_of("nowhere") == files_of(None) == files_of(3) == []
    found = file_prints({"path": "a", "pairs": {"val_path": "c.txt", "seed": 3}, "tokenizer_path": "c.txt"})
    assert found.keys() == {"path", "pairs.val_path"}
    (tmp_path / "a").rename(tmp_path / "moved")
    assert file_prints({"path": "moved"}) == {"path": found["path"]}
    (tmp_path / "moved/b/2.txt").write_text("b")
    assert file_prints({"path": "moved"}) != {"path": found["path"]}
