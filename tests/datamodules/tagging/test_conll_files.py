"""CoNLL-style files and CoNLL-U: what is read, what is written back, what is refused."""

from pathlib import Path

import pytest

from datamodules.tagging.conll_files import Sentence, parse_conll, read_conll
from datamodules.tagging.groups import ColumnConfig

PLAIN = "-DOCSTART- -X- O\n\nEU NNP B-ORG\nrejects VBZ O\n\n\n# CD O\n"
CONLLU = """\
# sent_id = 1
# text = He doesn't.
1\tHe\the\tPRON\tPRP\t_\t0\troot\t_\t_
2-3\tdoesn't\t_\t_\t_\t_\t_\t_\t_\t_
2\tdoes\tdo\tAUX\tVBZ\t_\t1\taux\t_\t_
3\tn't\tnot\tPART\tRB\t_\t1\tadvmod\t_\tSpaceAfter=No
3.1\tgo\tgo\tVERB\tVB\t_\t_\t_\t_\t_
4\t.\t.\tPUNCT\t.\t_\t1\tpunct\t_\t_

# sent_id = 2
1\tNew York\tNew York\tPROPN\tNNP\t_\t0\troot\t_\t_
"""


def parse(text: str, columns: ColumnConfig = ColumnConfig(), conllu: bool = False) -> list[Sentence]:
    return parse_conll(text.split("\n"), "file", columns, conllu=conllu)


def test_words_and_labels_by_the_numbers_of_their_columns() -> None:
    first, second = parse(PLAIN)
    assert (first.words, first.labels) == (["EU", "rejects"], ["B-ORG", "O"])
    assert (second.words, second.labels) == (["#"], ["O"])
    assert [first.where(0), first.where(1), second.where()] == ["file: line 3", "file: line 4", "file: line 7"]
    for label in (2, -2):
        assert parse(PLAIN, ColumnConfig(label=label))[0].labels == ["NNP", "VBZ"]
    assert parse(PLAIN, ColumnConfig(word=2, label=1))[0].words == ["NNP", "VBZ"]
    (only,) = parse("# id 1\na\tx y\tN\n", ColumnConfig(word=2, comments=True))
    assert (only.words, only.labels) == (["x y"], ["N"])  # between tabs a word may have a space


def test_conllu_without_ranges_empty_nodes_and_comments() -> None:
    first, second = parse(CONLLU, conllu=True)
    assert (first.words, first.labels) == (["He", "does", "n't", "."], ["PRON", "AUX", "PART", "PUNCT"])
    assert second.words == ["New York"]
    assert [first.where(word) for word in range(4)] == [f"file: line {line}" for line in (3, 5, 6, 8)]
    assert parse(CONLLU, ColumnConfig(label=5), conllu=True)[0].labels == ["PRP", "VBZ", "RB", "."]


def test_predicted_labels_are_written_into_the_same_lines() -> None:
    sentences = parse(CONLLU, conllu=True)
    assert "".join(one.with_column(one.labels, 4) for one in sentences) == CONLLU + "\n"
    changed = sentences[0].with_column(["A", "B", "C", "D"], 4).split("\n")
    assert [line.split("\t")[3] for line in changed[2:8]] == ["A", "_", "B", "C", "VERB", "D"]
    first, second = parse(PLAIN)
    assert first.with_column(["X", "Y"], None) == "-DOCSTART- -X- O\n\nEU NNP B-ORG X\nrejects VBZ O Y\n\n"
    assert second.with_column(["X"], None) == "# CD O X\n\n"
    assert parse("a\tb\n")[0].with_column(["X"], None) == "a\tb\tX\n\n"
    assert parse("a\n\n# the end\n", ColumnConfig(comments=True))[0].with_column(["X"], None) == "a X\n\n# the end\n\n"


def test_a_file_is_read_with_its_byte_order_mark_and_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes("\ufeffa\tX\r\n\r\nß\tY".encode())
    assert [one.words for one in read_conll(path, "path", ColumnConfig())] == [["a"], ["ß"]]
    assert read_conll(path, "path", ColumnConfig(), labelled=False)[0].labels == []
    path.write_bytes(b"a\tX\nb\xff\tY\n")
    with pytest.raises(ValueError, match=r"^path .*a\.tsv: line 2 is not UTF-8"):
        read_conll(path, "path", ColumnConfig())
    with pytest.raises(FileNotFoundError, match=r"path nowhere\.tsv: no such file"):
        read_conll("nowhere.tsv", "path", ColumnConfig())


@pytest.mark.parametrize(
    ("text", "columns", "conllu", "words"),
    [
        ("", {}, False, "file: has no sentence"),
        ("\n  \n", {}, False, "file: has no sentence"),
        ("a X\nb\n", {}, False, "file: line 2 has 1 columns, but the lines before have 2; mend the line"),
        ("a X\n\nb X Y\n", {}, False, "file: line 3 has 3 columns, but the lines before have 2"),
        ("a X\n", {"label": 3}, False, "line 1 has 2 columns and none with the number 3; give --data.columns.label"),
        ("a X\n", {"word": -3}, False, "line 1 has 2 columns and none with the number -3; give --data.columns.word"),
        ("a\t\n", {}, False, "file: line 1: the label is missing"),
        ("\tX\n", {}, False, "file: line 1: the word is missing"),
        (CONLLU.replace("4\t.", "5\t."), {}, True, "file: line 8: the word's number is '5', not 4"),
        (CONLLU.replace("\n\n", "\n"), {}, True, "file: line 10: the word's number is '1', not 5"),
        (CONLLU.replace("PRON", "_"), {}, True, r"file: line 3: the label is missing \(_\)"),
    ],
)
def test_a_bad_line_is_named(text: str, columns: dict[str, int], conllu: bool, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(text, ColumnConfig(**columns), conllu)  # type: ignore[arg-type]


def test_columns_are_counted_from_one() -> None:
    with pytest.raises(ValueError, match=r"columns\.label 0: columns are counted from 1"):
        ColumnConfig(label=0)
    with pytest.raises(ValueError, match=r"columns\.bio must be one of 'check', 'repair', 'ignore', not 'mend'"):
        ColumnConfig(bio="mend")  # type: ignore[arg-type]
