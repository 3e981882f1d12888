"""Minimal pairs from files: two-column CSV, BLiMP's JSON lines, the Hugging Face hub."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from seq_modules.probes.pairs import Pair
from seqlight.core.encodings import decoded, lines_of
from seqlight.core.errors import UserError
from seqlight.core.files.found_files import FoundFiles, files_below
from seqlight.core.table_rows import table_rows

MAX_BYTES = 100_000_000  # of one file; all of BLiMP has 30 MB
MAX_CELL = 10_000  # characters of one text


class LoadedPairs(NamedTuple):
    """Pairs that were read.

    Attributes:
        pairs: The pairs.
        problems: One message for each row that is no pair, "file:line: reason".
        remark: Which files of a folder are passed over; None if none are.
    """

    pairs: list[Pair]
    problems: list[str]
    remark: str | None = None


def from_csv(path: str | Path, suite: str | None = None) -> LoadedPairs:
    """Pairs of a CSV file with two columns, the good text and the bad text. A header "good,bad" is skipped.

    Args:
        path: The file, in UTF-8, at most 100 MB.
        suite: Name of the test; by default the file's name without its extension.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: The file is too large, not UTF-8, or has no valid row.
    """
    file = checked_file(path)
    suite = suite or file.stem
    loaded = LoadedPairs([], [])
    for line, cells in table_rows(text_lines(file), ","):
        if isinstance(cells, str):
            loaded.problems.append(f"{file}:{line}: {cells}")
            continue
        what = f"{len(cells)} columns instead of 2" if len(cells) != 2 else problem_of(cells[0], cells[1])
        if line == 1 and [cell.strip().lower() for cell in cells] == ["good", "bad"]:
            continue
        if what:
            loaded.problems.append(f"{file}:{line}: {what}")
        else:
            loaded.pairs.append(Pair(cells[0], cells[1], suite, suite))
    return require_pairs(loaded, file)


def text_lines(file: Path) -> list[str]:
    """The lines of a file in UTF-8, or in UTF-16 with its byte-order mark."""
    try:
        return list(lines_of(decoded(checked_file(file).read_bytes())))
    except UnicodeDecodeError as error:
        raise UserError(f"path {str(file)!r} is not UTF-8 ({error.reason}); convert it") from None


def from_blimp(path: str | Path, limit: int | None = None) -> LoadedPairs:
    """Pairs of BLiMP (Warstadt et al. 2020): JSON lines with sentence_good and sentence_bad. UID is the kind.

    Args:
        path: A file, or a folder of ``*.jsonl``; each file at most 100 MB.
        limit: Only the first so many pairs of each file; by default all.

    Raises:
        FileNotFoundError: There is no such file, or the folder has no such files.
        UserError: A file is too large or not UTF-8, or no line is valid.
    """
    root = Path(path)
    found = files_below(root, (".jsonl",)) if root.is_dir() else FoundFiles([root.name])
    remark = found.remark()
    if not found.files:
        raise FileNotFoundError(
            f"path {str(root)!r} has no .jsonl files; give the folder that holds BLiMP's"
            + (f" ({remark})" if remark else "")
        )
    loaded = LoadedPairs([], [], f"path {root}: {remark}" if remark else None)
    for file in [root / name for name in found.files] if root.is_dir() else [root]:
        read = 0
        for line, text in enumerate(text_lines(file), 1):
            if limit is not None and read >= limit:
                break
            if text.strip():
                read += not add_json(loaded, file, line, text)
    return require_pairs(loaded, root)


def add_json(loaded: LoadedPairs, file: Path, line: int, text: str) -> bool:
    """Adds one line of BLiMP to the pairs or to the problems. Returns whether it was a problem."""
    try:
        row = json.loads(text)
        what = problem_of(row["sentence_good"], row["sentence_bad"])
    except (ValueError, RecursionError):
        what = "not JSON"
    except (KeyError, TypeError):
        what = "no sentence_good and sentence_bad"
    if what:
        loaded.problems.append(f"{file}:{line}: {what}")
    else:
        loaded.pairs.append(Pair(row["sentence_good"], row["sentence_bad"], "blimp", str(row.get("UID", file.stem))))
    return bool(what)


def from_hub(
    name: str = "nyu-mll/blimp",
    kinds: Sequence[str] | None = None,
    limit: int | None = None,
    revision: str | None = None,
) -> LoadedPairs:
    """Pairs of BLiMP's copy on the Hugging Face hub, which has one configuration for each kind.

    Args:
        name: Name of the data set.
        kinds: Configurations; by default all.
        limit: Only the first so many pairs of each; by default all.
        revision: Branch, tag or commit; by default the main branch.

    Raises:
        UserError: The hub cannot be reached, does not have the data set, or `datasets` is not installed.
    """
    try:
        import datasets
    except ImportError:
        raise UserError(f"hub {name!r} needs the package datasets: pip install datasets") from None
    loaded = LoadedPairs([], [])
    try:
        for kind in kinds or datasets.get_dataset_config_names(name, revision=revision):
            rows = datasets.load_dataset(name, kind, split="train", revision=revision)
            for number, row in enumerate(rows.select(range(min(len(rows), limit or len(rows)))), 1):
                what = problem_of(row["sentence_good"], row["sentence_bad"])
                if what:
                    loaded.problems.append(f"{name}/{kind}:{number}: {what}")
                else:
                    loaded.pairs.append(Pair(row["sentence_good"], row["sentence_bad"], "blimp", kind))
    except (OSError, ValueError, KeyError, RuntimeError) as error:  # the hub raises many kinds; most derive from these
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise UserError(
            f"hub {name!r} cannot be read ({reason}); check the name and the network, or give the path of a copy "
            "(the folder of BLiMP's .jsonl files) instead"
        ) from None
    return require_pairs(loaded, name)


def problem_of(good: object, bad: object) -> str:
    """Why two texts are no pair; an empty string if they are one."""
    if not isinstance(good, str) or not isinstance(bad, str):
        return "a text is not a string"
    if not good.strip() or not bad.strip():
        return "a text is empty"
    if max(len(good), len(bad)) > MAX_CELL:
        return f"a text is longer than {MAX_CELL:,} characters"
    return "the two texts are identical" if good == bad else ""


def checked_file(path: str | Path) -> Path:
    """The path of a file.

    Raises:
        FileNotFoundError: It is no file.
        UserError: It has more than MAX_BYTES.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"path {str(file)!r} is not a file; check the spelling")
    if file.stat().st_size > MAX_BYTES:
        raise UserError(f"path {str(file)!r} has more than {MAX_BYTES:,} bytes; split it")
    return file


def require_pairs(loaded: LoadedPairs, where: object) -> LoadedPairs:
    """The argument. Raises a UserError if it has no pairs."""
    if not loaded.pairs:
        first = f"; {loaded.problems[0]}" if loaded.problems else ""
        raise UserError(f"path {str(where)!r} has no valid pair{first}")
    return loaded
