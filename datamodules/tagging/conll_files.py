"""CoNLL-style files: a word a line with its columns, an empty line after each sentence; CoNLL-U among them.

In CoNLL-U the first column numbers the words from 1 on. Lines numbered "1-2" (words that are written as one) and "1.1"
(words that are not written) hold no word of the sentence; they and comments are kept for writing.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from datamodules.tagging.groups import ColumnConfig
from seqlight.core.errors import UserError
from seqlight.core.files.paths import expanded

DOCUMENT = "-DOCSTART-"  # CoNLL-2003's line between documents
MISSING = "_"  # CoNLL-U's mark of an empty column
NOT_A_WORD = re.compile(r"\d+(?:-|\.)\d+")  # ids of ranges and of empty nodes
MAX_BYTES = 1_000_000_000  # of one file; the largest treebanks have less
TEXT_ENDING = ".txt"  # to predict: running text, a sentence a line


@dataclass
class Sentence:
    """The words of a sentence, and the lines that they stand on.

    Attributes:
        words: The words.
        labels: Their labels; empty where they are not known.
        lines: The lines of the file: words, comments and what else stands between two sentences.
        places: Which of the lines each word is on.
        source: The file, for messages.
        first: Number of the first line in the file, from 1 on.
        unit: What the lines are called in messages.
    """

    words: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    source: str = ""
    first: int = 1
    unit: str = "line"

    def where(self, word: int = 0) -> str:
        """The file and the line of a word, for messages."""
        return f"{self.source}: {self.unit} {self.first + self.places[word]}"

    def with_column(self, labels: Sequence[str], label: int | None) -> str:
        """The sentence's lines with a predicted label for each word, and an empty line at the end.

        Args:
            labels: The labels.
            label: Number of the column that they replace, as in ColumnConfig. None: they become a further column.
        """
        lines = list(self.lines)
        for place, new in zip(self.places, labels, strict=True):
            separator = "\t" if "\t" in lines[place] or label is not None else " "
            cells = split_line(lines[place])
            if label is None:
                cells.append(new)
            else:
                cells[label - (label > 0)] = new
            lines[place] = separator.join(cells)
        return "".join(f"{line}\n" for line in [*lines, ""])


def split_line(line: str) -> list[str]:
    """The columns of a line: between tabs, or between spaces where it has no tab."""
    return line.split("\t") if "\t" in line else line.split()


def is_conllu(path: str | Path) -> bool:
    """Whether a file's name says that it is CoNLL-U."""
    return Path(path).suffix.lower() == ".conllu"


def read_conll(path: str | Path, option: str, columns: ColumnConfig, labelled: bool = True) -> list[Sentence]:
    """The sentences of a file.

    Args:
        path: The file, in UTF-8.
        option: Argument that named it, for messages.
        columns: Where words and labels stand.
        labelled: Whether the labels are read.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: It is no such file; the message names the line.
    """
    named = f"{option} {path}"
    return parse_conll(read_lines(path, named), named, columns, labelled, is_conllu(path))


def read_lines(path: str | Path, named: str) -> list[str]:
    """The lines of a file in UTF-8.

    Args:
        path: The file.
        named: How messages name it.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: It is not UTF-8; the message names the line.
    """
    file = expanded(path)
    if not file.is_file():
        raise FileNotFoundError(f"{named}: no such file; give one with sentences")
    if file.stat().st_size > MAX_BYTES:
        raise UserError(f"{named}: is larger than {MAX_BYTES / 1e9:.0f} GB; give a part of it")
    content = file.read_bytes()
    try:
        return [line.removesuffix("\r") for line in content.decode("utf-8-sig").split("\n")]
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(f"{named}: line {line} is not UTF-8; save the file as UTF-8") from error


def parse_conll(
    lines: Iterable[str], source: str, columns: ColumnConfig, labelled: bool = True, conllu: bool = False
) -> list[Sentence]:
    """The sentences of a file's lines; see :func:`read_conll`.

    Args:
        lines: The lines.
        source: The file, for messages.
        columns: Where words and labels stand.
        labelled: Whether the labels are read.
        conllu: Whether it is CoNLL-U.

    Raises:
        UserError: A line is not as it should be, or there is no sentence.
    """
    reader = _Reader(source, columns, labelled, conllu)
    for number, line in enumerate(lines, start=1):
        reader.add(number, line)
    reader.end()
    if not reader.sentences:
        raise UserError(f"{source}: has no sentence; give a file with a word a line")
    return reader.sentences


class _Reader:
    """Takes line after line. The number of columns is that of the first word's line."""

    def __init__(self, source: str, columns: ColumnConfig, labelled: bool, conllu: bool) -> None:
        self.source, self.labelled, self.conllu = source, labelled, conllu
        self.comments = conllu if columns.comments is None else columns.comments
        self.word = columns.word or (2 if conllu else 1)
        self.label = columns.label or (4 if conllu else -1)
        self.width: int | None = None
        self.sentences: list[Sentence] = []
        self.current = Sentence(source=source)

    def add(self, number: int, line: str) -> None:
        here = self.current
        if not here.lines:
            here.first = number
        if not line.strip():
            if here.words:
                self._close()
            elif here.lines:  # comments by themselves stay with the sentence that follows
                here.lines.append("")
            return
        here.lines.append(line)
        if (self.comments and line.startswith("#") and (self.conllu or not here.words)) or line.startswith(DOCUMENT):
            return
        cells = split_line(line)
        if self.conllu and NOT_A_WORD.fullmatch(cells[0]):
            return
        self._check(number, cells)
        here.words.append(self._cell(cells, self.word, "word", number))
        here.places.append(len(here.lines) - 1)
        if self.labelled:
            label = self._cell(cells, self.label, "label", number)
            if self.conllu and label == MISSING:
                raise UserError(f"{self.source}: line {number}: the label is missing ({MISSING}); give each word one")
            here.labels.append(label)

    def _check(self, number: int, cells: list[str]) -> None:
        if self.conllu and cells[0] != (wanted := str(len(self.current.words) + 1)):
            raise UserError(
                f"{self.source}: line {number}: the word's number is {cells[0]!r}, not {wanted}; CoNLL-U counts a "
                "sentence's words from 1 and has an empty line after each"
            )
        if self.width is None:
            self.width = len(cells)
        if len(cells) != self.width:
            raise UserError(
                f"{self.source}: line {number} has {len(cells)} columns, but the lines before have {self.width}; mend "
                "the line"
            )

    def _cell(self, cells: list[str], column: int, name: str, number: int) -> str:
        if not -len(cells) <= column <= len(cells):
            raise UserError(
                f"{self.source}: line {number} has {len(cells)} columns and none with the number {column}; give "
                f"--data.columns.{name}"
            )
        if not (cell := cells[column - (column > 0)].strip()):
            raise UserError(f"{self.source}: line {number}: the {name} is missing; mend the line")
        return cell

    def _close(self) -> None:
        self.sentences.append(self.current)
        self.current = Sentence(source=self.source)

    def end(self) -> None:
        """Closes the last sentence; what stands behind it stays with it."""
        if self.current.words:
            self._close()
        elif self.current.lines and self.sentences:
            while not self.current.lines[-1]:
                self.current.lines.pop()
            self.sentences[-1].lines += ["", *self.current.lines]
