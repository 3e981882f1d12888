"""Minimal pairs that others wrote: two-column CSV, BLiMP's JSON lines, the hub."""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from seq_modules.probes.pairs import Pair
from seqlight.core.errors import UserError

MAX_BYTES = 100_000_000  # of one file; all of BLiMP has 30 MB
MAX_CELL = 10_000  # characters of one text


class Found(NamedTuple):
    """Pairs that were read, and one line for each row that could not be: "file:line: what is wrong"."""

    pairs: list[Pair]
    problems: list[str]


def from_csv(path: str | Path, suite: str | None = None) -> Found:
    """Pairs of a CSV file with two columns, the good text and the bad one; a header "good,bad" is skipped.

    Args:
        path: UTF-8, at most 100 MB.
        suite: Name of the test; by default the file's, without its ending.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is too large, not UTF-8, or has not one proper row.
    """
    file = checked(path)
    suite = suite or file.stem
    found = Found([], [])
    for line, cells in csv_rows(file):
        what = f"{len(cells)} columns instead of 2" if len(cells) != 2 else fault(cells[0], cells[1])
        if line == 1 and [cell.strip().lower() for cell in cells] == ["good", "bad"]:
            continue
        if what:
            found.problems.append(f"{file}:{line}: {what}")
        else:
            found.pairs.append(Pair(cells[0], cells[1], suite, suite))
    return some(found, file)


def csv_rows(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, with the line that each begins on. A row that csv itself refuses has no cells."""
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream)
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error:
                cells = []
                yield line, cells
            except UnicodeDecodeError as error:
                raise UserError(f"path {str(file)!r} is not UTF-8 ({error.reason}); convert it") from None
            if cells:
                yield line, cells


def from_blimp(path: str | Path, limit: int | None = None) -> Found:
    """Pairs of BLiMP (Warstadt et al. 2020): JSON lines with sentence_good and sentence_bad; UID is the kind.

    Args:
        path: A file, or a folder of ``*.jsonl``; each file at most 100 MB.
        limit: Pairs of each file, the first ones; by default all.

    Raises:
        FileNotFoundError: There is no such file, or the folder has none.
        ValueError: A file is too large, not UTF-8, or there is not one proper line.
    """
    root = Path(path)
    files = sorted(root.glob("*.jsonl")) if root.is_dir() else [root]
    if not files:
        raise FileNotFoundError(f"path {str(root)!r} has no .jsonl files; give the folder that holds BLiMP's")
    found = Found([], [])
    for file in files:
        read = 0
        try:
            with checked(file).open(encoding="utf-8-sig") as stream:
                for line, text in enumerate(stream, 1):
                    if limit is not None and read >= limit:
                        break
                    if text.strip():
                        read += not add_json(found, file, line, text)
        except UnicodeDecodeError as error:
            raise UserError(f"path {str(file)!r} is not UTF-8 ({error.reason}); convert it") from None
    return some(found, root)


def add_json(found: Found, file: Path, line: int, text: str) -> bool:
    """Adds one line of BLiMP to the pairs, or to the problems; says whether it was a problem."""
    try:
        row = json.loads(text)
        what = fault(row["sentence_good"], row["sentence_bad"])
    except (ValueError, RecursionError):
        what = "not JSON"
    except (KeyError, TypeError):
        what = "no sentence_good and sentence_bad"
    if what:
        found.problems.append(f"{file}:{line}: {what}")
    else:
        found.pairs.append(Pair(row["sentence_good"], row["sentence_bad"], "blimp", str(row.get("UID", file.stem))))
    return bool(what)


def from_hub(
    name: str = "nyu-mll/blimp",
    kinds: Sequence[str] | None = None,
    limit: int | None = None,
    revision: str | None = None,
) -> Found:
    """Pairs of BLiMP's copy on the hub, one configuration a kind.

    Args:
        name: The data set.
        kinds: Its configurations; by default all.
        limit: Pairs of each; by default all.
        revision: Branch, tag or commit.

    Raises:
        ValueError: The hub cannot be reached or does not have it, or `datasets` is not installed.
    """
    try:
        import datasets
    except ImportError:
        raise UserError(f"hub {name!r} needs the package datasets: pip install datasets") from None
    found = Found([], [])
    try:
        for kind in kinds or datasets.get_dataset_config_names(name, revision=revision):
            rows = datasets.load_dataset(name, kind, split="train", revision=revision)
            for number, row in enumerate(rows.select(range(min(len(rows), limit or len(rows)))), 1):
                what = fault(row["sentence_good"], row["sentence_bad"])
                if what:
                    found.problems.append(f"{name}/{kind}:{number}: {what}")
                else:
                    found.pairs.append(Pair(row["sentence_good"], row["sentence_bad"], "blimp", kind))
    except (OSError, ValueError, KeyError, RuntimeError) as error:  # the hub's errors are many; most are of these
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise UserError(
            f"hub {name!r} cannot be read ({reason}); check the name and the network, or give the path of a copy "
            "(the folder of BLiMP's .jsonl files) instead"
        ) from None
    return some(found, name)


def fault(good: object, bad: object) -> str:
    """What is wrong with a pair's texts; nothing, if all is well."""
    if not isinstance(good, str) or not isinstance(bad, str):
        return "a text is not a string"
    if not good.strip() or not bad.strip():
        return "a text is empty"
    if max(len(good), len(bad)) > MAX_CELL:
        return f"a text is longer than {MAX_CELL:,} characters"
    return "the two texts are identical" if good == bad else ""


def checked(path: str | Path) -> Path:
    """A path that is a file of bearable size."""
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"path {str(file)!r} is not a file; check the spelling")
    if file.stat().st_size > MAX_BYTES:
        raise UserError(f"path {str(file)!r} has more than {MAX_BYTES:,} bytes; split it")
    return file


def some(found: Found, where: object) -> Found:
    """What was found, if it is anything."""
    if not found.pairs:
        first = f"; {found.problems[0]}" if found.problems else ""
        raise UserError(f"path {str(where)!r} has not one proper pair{first}")
    return found
