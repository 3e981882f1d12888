"""Reads collections of labelled texts in their published layouts: one folder per class, or one file per class.

A zip is read in place. None of its files is written to disk, so names in it such as ``../x`` do no harm, and the
unpacked size is limited. Layouts, in a folder or in a zip:

* ``pos/*.txt`` and ``neg/*.txt``: Pang & Lee's 2,000 reviews (ACL 2004), one review per file. Neighbouring folders are
  the classes and may have any names.
* ``train/pos/*.txt`` ... ``test/neg/*.txt``: IMDb (Maas et al., ACL 2011). Its ``unsup`` has no labels and is left out.
* ``rt-polarity.pos`` and ``rt-polarity.neg``: Pang & Lee's 10,662 sentences (ACL 2005), one sentence per line.
"""

import contextlib
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lightning.pytorch.utilities import rank_zero_info

from datamodules.classification.labelled_files import Found, check_found
from seqlight.core.encodings import HEAD, encoding_of
from seqlight.core.errors import UserError, reason_of
from seqlight.core.files.found_files import FoundFiles, names_below, printable, sift
from seqlight.core.files.paths import expanded

MAX_FILES = 500_000
MAX_FILE = 50_000_000  # bytes of one file, unpacked
MAX_TOTAL = 2_000_000_000  # bytes of all files, unpacked; aclImdb has 66 MB without unsup
NO_CLASS = ("", "train", "test", "unsup", "unsupervised")  # not classes; IMDb's train/ and test/ hold lists of URLs
SENTENCES = re.compile(r"[\w-]+\.(?P<label>pos|neg)", re.IGNORECASE)  # name of a file with one text per line
SPLITS = {
    "train": "train",
    "training": "train",
    "test": "test",
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
}  # by the name of a folder
NUMBERED = re.compile(r"cv(\d{3})_")  # Pang & Lee's number of a review, which decides on its fold


@dataclass
class Review:
    """A labelled text of a collection.

    Attributes:
        text: The text, without ``<br />``.
        label: Its class: the name of its folder, or the extension of its file.
        split: "train", "val" or "test" if the source states it.
        number: Pang & Lee's number, 0 to 999, if the file is named cv123_...
    """

    text: str
    label: str
    split: str | None = None
    number: int | None = None


def read_reviews(path: str, encoding: str | None = None, name: str = "path") -> list[Review]:
    """The reviews of a folder or zip, sorted by file name. Empty reviews are left out and named in a warning.

    Args:
        path: The folder or zip.
        encoding: Encoding of the files. Default: UTF-8, or Latin-1 for a file that is not UTF-8.
        name: Name of the argument that gave the path, for messages.

    Raises:
        FileNotFoundError: The folder or zip does not exist.
        UserError: It has none of the layouts above, or it is damaged, encrypted or too large.
    """
    place = expanded(path)
    if not place.exists():
        raise FileNotFoundError(f"{name} {path}: no such folder or file")
    reviews, found = [], Found()
    try:
        with zipfile.ZipFile(place) if place.is_file() else contextlib.nullcontext() as archive:
            files = _review_files(names_below(place) if archive is None else list(_zip_names(archive)))
            for file, content in _folder_files(place, files) if archive is None else _zip_files(archive, files):
                for line, text in _texts(file, _decoded(content, encoding)):
                    before = len(found.texts)
                    found.add(0, line, without_breaks(text))
                    if len(found.texts) == before:
                        found.problems[-1] = f"{printable(file)} {found.problems[-1]}"
                    else:
                        reviews.append(_review(file, found.texts[-1]))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeError) as error:
        raise UserError(f"{name} {path}: cannot be read ({reason_of(error)})") from error
    except _LimitError as error:
        raise UserError(f"{name} {path}: {error}") from error
    if len({review.label for review in reviews}) < 2:
        raise UserError(
            f"{name} {path}: has no reviews of two classes; known are pos/*.txt and neg/*.txt, also below train/ and "
            "test/, and rt-polarity.pos and rt-polarity.neg" + (f" ({remark})" if (remark := files.remark()) else "")
        )
    if remark := files.remark():
        rank_zero_info(f"{name} {path}: {remark}")
    check_found(found, f"{name} {path}")
    return reviews


def without_breaks(text: str) -> str:
    """The text with each ``<br />``, as in IMDb, replaced by a space."""
    return text.replace("<br />", " ")


class _LimitError(Exception):
    """A file is too large, or its encoding does not exist."""


def _review_files(names: list[str]) -> FoundFiles:
    """Which of the names are files with reviews, sorted."""
    found = sift(sorted(names), lambda path: SENTENCES.fullmatch(path.name) is not None)
    if found.files:
        return found
    found = sift(sorted(names), lambda path: path.suffix.lower() == ".txt" and path.parent.name.lower() not in NO_CLASS)
    classes: dict[PurePosixPath, set[str]] = {}
    for path in map(PurePosixPath, found.files):
        classes.setdefault(path.parent.parent, set()).add(path.parent.name)
    # There are at least two class folders next to each other. A single README.txt is thus not a review.
    alone = [name for name in found.files if len(classes[PurePosixPath(name).parent.parent]) < 2]
    found.files = [name for name in found.files if len(classes[PurePosixPath(name).parent.parent]) > 1]
    found.other += alone
    if len(found.files) > MAX_FILES:
        raise _LimitError(f"has more than {MAX_FILES:,} files")
    return found


def _folder_files(folder: Path, found: FoundFiles) -> Iterator[tuple[str, bytes]]:
    total = 0
    for name in found.files:
        total = _checked(name, (folder / name).stat().st_size, total)
        yield name, (folder / name).read_bytes()


def _zip_names(archive: zipfile.ZipFile) -> dict[str, str]:
    """The names of the files in a zip with ``/`` between the parts, which some programs write as a backslash."""
    return {name.replace("\\", "/"): name for name in archive.namelist() if not name.endswith(("/", "\\"))}


def _zip_files(archive: zipfile.ZipFile, found: FoundFiles) -> Iterator[tuple[str, bytes]]:
    total, names = 0, _zip_names(archive)
    for name in found.files:
        size = archive.getinfo(names[name]).file_size
        total = _checked(name, size, total)
        with archive.open(names[name]) as stream:
            content = stream.read(size + 1)  # the size that a zip states may be wrong
        if len(content) > size:
            raise _LimitError(f"{name} is larger than the zip states")
        yield name, content


def _checked(name: str, size: int, total: int) -> int:
    """The total size with one more file.

    Raises:
        _LimitError: The file or the total is too large.
    """
    if size > MAX_FILE:
        raise _LimitError(f"{name} is larger than {MAX_FILE / 1e6:.0f} MB")
    if total + size > MAX_TOTAL:
        raise _LimitError(f"holds more than {MAX_TOTAL / 1e9:.0f} GB")
    return total + size


def _decoded(content: bytes, encoding: str | None) -> str:
    """The text of a file in its encoding; by default UTF-8 or UTF-16, or Latin-1 if it is neither."""
    try:
        return content.decode(encoding_of(content[:HEAD], encoding or "utf-8"))
    except UnicodeDecodeError:
        if encoding is not None:
            raise
        return content.decode("latin-1")
    except LookupError as error:
        raise _LimitError(f"encoding {encoding} is not known") from error


def _texts(name: str, content: str) -> Iterator[tuple[int, str]]:
    """The texts of a file with their line numbers: each line of a file of sentences, else the whole file."""
    if SENTENCES.fullmatch(PurePosixPath(name).name):
        lines = content.split("\n")
        yield from enumerate(lines[:-1] if lines[-1] == "" else lines, 1)
    else:
        yield 1, content


def _review(name: str, text: str) -> Review:
    """The text with its label, split and number, which follow from the name of the file."""
    parts = PurePosixPath(name).parts
    sentences = SENTENCES.fullmatch(parts[-1])
    folders = parts[:-1] if sentences else parts[:-2]  # the last folder of a text of its own is its label
    split = next((SPLITS[folder.lower()] for folder in folders if folder.lower() in SPLITS), None)
    if sentences:
        return Review(text, sentences["label"].lower(), split, None)
    numbered = NUMBERED.match(parts[-1])
    return Review(text, printable(parts[-2]), split, int(numbered[1]) if numbered else None)
