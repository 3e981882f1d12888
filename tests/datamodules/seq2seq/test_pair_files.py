"""Pairs from files: every form gives the same pairs, and what is wrong is told with its file and line."""

import gzip
import json
from pathlib import Path

import pytest

from datamodules.seq2seq.pair_files import Pairs, read_parallel, read_table

PAIRS = [("Ein Haus.", "A house."), ("Der „Hund“, \u2028 er läuft", 'The "dog", it runs'), ("Zwei\tBälle", "Two balls")]
DE, EN = (list(side) for side in zip(*PAIRS, strict=True))


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def parallel(folder: Path, de: str | bytes, en: str | bytes) -> Pairs:
    return read_parallel(write(folder / "a.de", de), write(folder / "a.en", en), "utf-8")


def test_two_files_are_read_line_by_line(tmp_path: Path) -> None:
    found = parallel(tmp_path, "\n".join(DE) + "\n", "\r\n".join(EN) + "\r\n")
    assert (found.sources, found.targets) == (DE, EN)  # U+2028 ends no line
    assert found.lines.tolist() == [1, 2, 3]
    # A last line without its end, and a byte-order mark.
    found = parallel(tmp_path, "\ufeff" + "\n".join(DE), "\n".join(EN))
    assert (found.sources, found.targets) == (DE, EN)


def test_compressed_files_are_read(tmp_path: Path) -> None:
    files = [tmp_path / "a.de.gz", tmp_path / "a.en.gz"]
    for file, side in zip(files, (DE, EN), strict=True):
        file.write_bytes(gzip.compress("\n".join(side).encode()))
    assert read_parallel(files[0], files[1], "utf-8").targets == EN
    whole = files[0].read_bytes()
    for damaged in (whole[:20], whole[:10] + b"\xff" * 8 + whole[18:], b"no archive"):  # cut off, other bytes, no gzip
        files[0].write_bytes(damaged)
        with pytest.raises(ValueError, match=r"^path .*a\.de\.gz: cannot be read"):
            read_parallel(files[0], files[1], "utf-8")


def test_tables_give_the_same_pairs(tmp_path: Path) -> None:
    rows = [dict(zip(("de", "en"), pair, strict=True)) for pair in PAIRS]
    quoted = ['"' + text.replace('"', '""') + '"' for pair in PAIRS for text in pair]
    csv = "de,id,en\n" + "".join(f"{quoted[2 * at]},{at},{quoted[2 * at + 1]}\n" for at in range(3))
    jsonl = "".join(json.dumps(row) + "\n" for row in rows)
    nested = "\n\n".join(json.dumps({"id": 1, "translation": row}) for row in rows)
    for name, content in (("a.csv", csv), ("a.jsonl", jsonl), ("b.jsonl", nested)):
        found = read_table(write(tmp_path / name, content), "de", "en", "utf-8")
        assert (found.sources, found.targets) == (DE, EN), name
        swapped = read_table(tmp_path / name, "en", "de", "utf-8")
        assert (swapped.sources, swapped.targets) == (EN, DE)
    # Tabs need no quotes, and a quotation mark in such a file is one.
    tsv = write(tmp_path / "a.tsv", 'en\tde\n"Hm\tHm\nA house.\tEin Haus.\n')
    found = read_table(tsv, "de", "en", "utf-8")
    assert (found.sources, found.targets) == (["Hm", "Ein Haus."], ['"Hm', "A house."])
    (tmp_path / "a.tsv.gz").write_bytes(gzip.compress(tsv.read_bytes()))
    assert read_table(tmp_path / "a.tsv.gz", "de", "en", "utf-8").sources == found.sources


def test_files_of_different_length_are_refused_with_the_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^path: .*a\.de has 3 lines and .*a\.en 2: line 3 of a\.de and all after"):
        parallel(tmp_path, "a\nb\nc\n", "a\nb\n")
    with pytest.raises(ValueError, match=r"^path: .*a\.en has 2 lines and .*a\.de 1: line 2 of a\.en"):
        parallel(tmp_path, "a\n", "a\n\n")


def test_empty_lines_are_left_out_and_told_in_one_line(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"a\.de and a\.en: 3 of 5 pairs have an empty side .*: line 2, 3, 5$") as told:
        found = parallel(tmp_path, "a\n\nc\nd\n \n", "A\nB\n\t\nD\n\n")
    assert len(told) == 1
    assert (found.sources, found.targets) == (["a", "d"], ["A", "D"])
    assert found.lines.tolist() == [1, 4]
    with pytest.warns(UserWarning, match="9 of 10 pairs .* line 2, 3, 4, 5, 6, ...$"):
        parallel(tmp_path, "a\n" + "\n" * 9, "a\n" + "b\n" * 9)
    with (
        pytest.warns(UserWarning, match="1 of 1 pairs"),
        pytest.raises(ValueError, match=r"^path: .*a\.de and a\.en holds no pair"),
    ):
        parallel(tmp_path, "\n", "a\n")
    with pytest.raises(ValueError, match="holds no pair"):
        parallel(tmp_path, "", "")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "de,en\na,b\nc\n", r"line 3 has 1 columns and not 2"),
        ("a.csv", 'de,en\n"a\nb",c\n"d,e\n', r"line 4: a quote is not closed"),
        ("a.csv", "de,fr\na,b\n", r"line 2 has no 'en', only de, fr; give the columns as --data\.source"),
        ("a.tsv", "de\ten\na\tb\tc\n", r"line 2 has 3 columns"),
        ("a.jsonl", '{"de": "a", "en": "b"}\n{"de": \n', r"line 2 is no JSON"),
        ("a.jsonl", '["a"]\n', r"line 1 is no object but list"),
        ("a.jsonl", '{"de": "a", "en": 3}\n', r"line 1: en is no text but int"),
        ("a.jsonl", '{"translation": {"de": "a"}}\n', r"line 1 has no 'en', only de"),
        ("a.csv", b"de,en\na,b\n\xff,b\n", r"line 3 is not utf-8; give --data\.text\.encoding"),
    ],
)
def test_a_wrong_row_is_refused_with_its_line(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^path .*{name}: {message}"):
        read_table(write(tmp_path / name, content), "de", "en", "utf-8")


def test_encodings_and_missing_files(tmp_path: Path) -> None:
    write(tmp_path / "a.de", "Bälle\n".encode("latin-1"))
    write(tmp_path / "a.en", "balls\n")
    with pytest.raises(ValueError, match=r"^path .*a\.de: line 1 is not utf-8"):
        read_parallel(tmp_path / "a.de", tmp_path / "a.en", "utf-8")
    assert read_parallel(tmp_path / "a.de", tmp_path / "a.en", "latin-1").sources == ["Bälle"]
    with pytest.raises(ValueError, match=r"^text\.encoding 'klingon' is not known"):
        read_parallel(tmp_path / "a.de", tmp_path / "a.en", "klingon")
    with pytest.raises(FileNotFoundError, match=r"^path .*a\.fr: no such file"):
        read_parallel(tmp_path / "a.en", tmp_path / "a.fr", "utf-8")


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("de,en,en\nHallo,hello,second\n")
    with pytest.raises(ValueError, match=r"line 1 names two columns 'en'"):
        read_table(tmp_path / "t.csv", "de", "en", "utf-8")
