"""The .label files of TREC, with unusual and invalid lines, and their classes."""

from pathlib import Path

import pytest

from datamodules.classification.question_files import COARSE, FINE, TRAIN_COUNTS, read_label_file

SAID = [  # invented, each odd in the way of a row of the real files
    (b"DESC:manner How do boats float ?", "How do boats float ?"),
    (b"ENTY:cremat Which play has the line : `` Out : out '' ?", "Which play has the line : `` Out : out '' ?"),
    (b"LOC:city Which town is a sister\xf0city of Oslo ?", "Which town is a sisterðcity of Oslo ?"),
    (b"DESC:manner How do boats float ?", "How do boats float ?"),
    (b"HUM:ind  Who caf\xe9d it ?  ", "Who caféd it ?"),
    (b"NUM:count How many\x85lines ?", "How many\x85lines ?"),  # a control character that Python takes for a line end
]
WRONG = [
    (b"", "line 7: '' is not a COARSE:fine label"),
    (b"ENTY:dragon What is it ?", "line 8: 'ENTY:dragon' is not a class of TREC"),
    (b"ABBR:exp ", "line 9: the text is empty"),
    (b"What is it ?", "line 10: 'What' is not a COARSE:fine label"),
    (b"desc:manner How ?", "line 11: 'desc:manner' is not a class of TREC"),
]


def test_unusual_lines_are_read(tmp_path: Path) -> None:
    file = tmp_path / "train_5500.label"
    file.write_bytes(b"\n".join(line for line, _ in SAID))  # the last line not ended
    found = read_label_file(file, "path")
    assert found.texts == [text for _, text in SAID]
    assert [FINE[label] for label in found.aux_labels] == [line.split(b" ")[0].decode() for line, _ in SAID]
    assert [COARSE[label] for label in found.labels] == [line.split(b":")[0].decode() for line, _ in SAID]


def test_invalid_lines_are_named_and_the_others_are_read(tmp_path: Path) -> None:
    file = tmp_path / "TREC_10.label"
    file.write_bytes(b"\r\n".join([line for line, _ in SAID] + [line for line, _ in WRONG]) + b"\r\n")
    with pytest.warns(UserWarning, match="5 rows are left out") as told:
        assert read_label_file(file, "path").texts == [text for _, text in SAID]
    for _, fault in WRONG:
        assert fault in str(told[0].message)
    file.write_bytes(b"\n".join(line for line, _ in WRONG))
    with pytest.raises(ValueError, match=r"^path .*TREC_10\.label: has not one proper row \(line 1: "):
        read_label_file(file, "path")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_files_in_unicode_are_read_as_such(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "TREC_10.LABEL").write_text("HUM:ind Who caf\xe9d it ?\nLOC:city Where ?\n", encoding=encoding)
    assert read_label_file(tmp_path / "TREC_10.label", "path").texts == ["Who caf\xe9d it ?", "Where ?"]


def test_the_classes() -> None:
    assert COARSE == ["ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"]
    assert len(FINE) == 50
    assert sum(TRAIN_COUNTS.values()) == 5452
