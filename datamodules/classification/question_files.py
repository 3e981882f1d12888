"""The TREC questions (Li & Roth, COLING 2002): their .label files, their tables on the hub, and their classes.

A line of a .label file is ``COARSE:fine What is the question ?``. The label ends at the first space, and the question
may contain further colons. TREC's own files are in Latin-1; others are read in UTF-8 if they are.
"""

import codecs
from pathlib import Path
from typing import Any

from datamodules.classification.examples import Examples
from datamodules.classification.labelled_files import Found, check_found, text_fault
from seqlight.core.encodings import HEAD, decoded, encoding_of, lines_of
from seqlight.core.errors import UserError
from seqlight.core.files.found_files import named_file

TRAIN_FILE, TEST_FILE = "train_5500.label", "TREC_10.label"  # 5,452 and 500 questions
MAX_BYTES = 50_000_000

# Fine class -> number of questions in train_5500.label. The synthetic questions have the same class frequencies.
TRAIN_COUNTS = {
    "ABBR:abb": 16, "ABBR:exp": 70,
    "DESC:def": 421, "DESC:desc": 274, "DESC:manner": 276, "DESC:reason": 191,
    "ENTY:animal": 112, "ENTY:body": 16, "ENTY:color": 40, "ENTY:cremat": 207, "ENTY:currency": 4, "ENTY:dismed": 103,
    "ENTY:event": 56, "ENTY:food": 103, "ENTY:instru": 10, "ENTY:lang": 16, "ENTY:letter": 9, "ENTY:other": 217,
    "ENTY:plant": 13, "ENTY:product": 42, "ENTY:religion": 4, "ENTY:sport": 62, "ENTY:substance": 41,
    "ENTY:symbol": 11, "ENTY:techmeth": 38, "ENTY:termeq": 93, "ENTY:veh": 27, "ENTY:word": 26,
    "HUM:desc": 47, "HUM:gr": 189, "HUM:ind": 962, "HUM:title": 25,
    "LOC:city": 129, "LOC:country": 155, "LOC:mount": 21, "LOC:other": 464, "LOC:state": 66,
    "NUM:code": 9, "NUM:count": 363, "NUM:date": 218, "NUM:dist": 34, "NUM:money": 71, "NUM:ord": 6, "NUM:other": 52,
    "NUM:perc": 27, "NUM:period": 75, "NUM:speed": 9, "NUM:temp": 8, "NUM:volsize": 13, "NUM:weight": 11,
}  # fmt: skip
FINE = sorted(TRAIN_COUNTS)
COARSE = sorted({name.partition(":")[0] for name in FINE})
COARSE_OF = [COARSE.index(name.partition(":")[0]) for name in FINE]  # index of the coarse class of each fine class


def fine_examples(texts: list[str], fine: list[int]) -> Examples:
    """Examples from questions and the indices of their fine classes: labels are coarse, auxiliary labels fine."""
    return Examples.of(texts, [COARSE_OF[label] for label in fine], fine)


def read_label_file(path: Path, name: str) -> Examples:
    """The questions of a .label file. Invalid lines are left out and named in a warning.

    Args:
        path: The file; its name may differ in case.
        name: Name of the argument that gave the path, for messages.

    Raises:
        FileNotFoundError: The file does not exist.
        UserError: The file is too large, or has no valid line.
    """
    file = named_file(path.parent, path.name)
    if file is None:
        raise FileNotFoundError(f"{name} {path.parent}: has no {path.name}; it should hold {TRAIN_FILE}, {TEST_FILE}")
    if file.stat().st_size > MAX_BYTES:
        raise UserError(f"{name} {path}: is larger than {MAX_BYTES / 1e6:.0f} MB; TREC's files are smaller")
    found, fine = Found(), []
    for row, line in enumerate(_lines(file.read_bytes())):
        label, _, question = line.strip().partition(" ")
        if label not in TRAIN_COUNTS:
            what = "is not a class of TREC" if ":" in label else "is not a COARSE:fine label"
            found.problems.append(f"line {row + 1}: {label[:40]!r} {what}")
        elif fault := text_fault(question):
            found.problems.append(f"line {row + 1}: {fault}")
        else:
            found.add(row, row + 1, question)
            fine.append(FINE.index(label))
    check_found(found, f"{name} {path}")
    return fine_examples(found.texts, fine)


def _lines(content: bytes) -> list[str]:
    """The lines of a file in UTF-8 or UTF-16; a line that is not UTF-8 is Latin-1, as TREC's own with a byte 0xF0."""
    if encoding_of(content[:HEAD]).startswith(("utf-16", "utf-32")):
        return list(lines_of(decoded(content)))
    lines = []
    for line in content.removeprefix(codecs.BOM_UTF8).removesuffix(b"\n").split(b"\n"):
        try:
            lines.append(line.decode())
        except UnicodeDecodeError:
            lines.append(line.decode("latin-1"))
    return lines


def questions_of(hub: str, rows: list[dict[str, Any]]) -> Examples:
    """The questions of a table from the hub: SetFit/TREC-QC, CogComp/trec, or another with texts and fine classes.

    Args:
        hub: Name of the data set, for messages.
        rows: Rows of the table. The column ``text`` has the question; the class may be in any columns.

    Raises:
        UserError: A row has no text or no fine class.
    """
    texts, fine = [], []
    for row, content in enumerate(rows):
        words = {value for value in content.values() if isinstance(value, str)}
        coarse = words & set(COARSE)
        # Either one column has the whole class (ENTY:animal), or two columns have its parts.
        classes = words & set(FINE) or {f"{a}:{b}" for a in coarse for b in words} & set(FINE)
        if len(classes) != 1 or text_fault(content.get("text")):
            raise UserError(
                f"text.hub {hub}: row {row} has no text with one of TREC's classes (such as ENTY:animal) in its "
                f"columns {', '.join(content)}; try SetFit/TREC-QC"
            )
        texts.append(content["text"].strip())
        fine.append(FINE.index(classes.pop()))
    return fine_examples(texts, fine)
