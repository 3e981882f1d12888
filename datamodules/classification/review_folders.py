"""Collections of labelled texts as their authors gave them away: a folder for each class, or a file for each.

A zip is read where it lies: nothing of it is written to the disk, so that no name in it can reach anywhere, and what it
unpacks to is limited. Known shapes, in a folder or a zip:

* ``pos/*.txt`` and ``neg/*.txt``: Pang & Lee's 2,000 reviews (ACL 2004), a review a file; the folders beside each
  other may have any names, and are the classes;
* ``train/pos/*.txt`` ... ``test/neg/*.txt``: IMDb (Maas et al., ACL 2011); its ``unsup`` has no labels and is left out;
* ``rt-polarity.pos`` and ``rt-polarity.neg``: Pang & Lee's 10,662 sentences (ACL 2005), a sentence a line.
"""

import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from datamodules.classification.labelled_files import Found, check_found
from seqlight.core.errors import UserError

MAX_FILES = 500_000
MAX_FILE = 50_000_000  # bytes of one file, unpacked
MAX_TOTAL = 2_000_000_000  # bytes of all files, unpacked; aclImdb without its unsup has 66 MB
NO_CLASS = ("", "train", "test", "unsup", "unsupervised")  # aclImdb has lists of addresses in train/ and test/
SENTENCES = re.compile(r"[\w-]+\.(?P<label>pos|neg)")  # a file whose lines are a class's texts
NUMBERED = re.compile(r"cv(\d{3})_")  # Pang & Lee's own numbers, by which they fold


@dataclass
class Review:
    """A text of a collection.

    Attributes:
        text: The text, without markup of line breaks.
        label: Its class, the name of the folder or ending.
        split: "train", "val" or "test" where its source says so.
        number: Pang & Lee's number, 0 to 999, of files named cv123_...
    """

    text: str
    label: str
    split: str | None = None
    number: int | None = None


def read_reviews(path: str, encoding: str | None = None, name: str = "path") -> list[Review]:
    """The reviews of a folder or zip, in the order of their names; empty ones are named in a warning and left out.

    Args:
        path: Folder or zip.
        encoding: Of the files; by default UTF-8, or Latin-1 where a file is not UTF-8.
        name: Argument that named it, for messages.

    Raises:
        FileNotFoundError: There is no such folder or zip.
        UserError: It has no reviews in one of the known shapes, is damaged, protected or too large.
    """
    place = Path(path).expanduser()
    if not place.exists():
        raise FileNotFoundError(f"{name} {path}: no such folder or file")
    reviews, found = [], Found()
    try:
        for file, content in _zip_files(place) if place.is_file() else _folder_files(place):
            for line, text in _texts(file, _decoded(content, encoding)):
                before = len(found.texts)
                found.add(0, line, without_breaks(text))
                if len(found.texts) == before:
                    found.problems[-1] = f"{file} {found.problems[-1]}"
                else:
                    reviews.append(_review(file, found.texts[-1]))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeError) as error:
        raise UserError(f"{name} {path}: cannot be read ({' '.join(str(error).split())[:200]})") from error
    except _LimitError as error:
        raise UserError(f"{name} {path}: {error}") from error
    if len({review.label for review in reviews}) < 2:
        raise UserError(
            f"{name} {path}: has no reviews of two classes; known are pos/*.txt and neg/*.txt, also below train/ and "
            "test/, and rt-polarity.pos and rt-polarity.neg"
        )
    check_found(found, f"{name} {path}")
    return reviews


def without_breaks(text: str) -> str:
    """The text with IMDb's ``<br />`` as white space."""
    return text.replace("<br />", " ")


class _LimitError(Exception):
    pass


def _chosen(names: list[str]) -> list[str]:
    """The names of the files that hold reviews, sorted."""
    paths = [PurePosixPath(name) for name in sorted(names) if "__MACOSX" not in name]
    if sentences := [path for path in paths if SENTENCES.fullmatch(path.name)]:
        return [str(path) for path in sentences]
    texts = [path for path in paths if path.suffix == ".txt" and path.parent.name not in NO_CLASS]
    classes: dict[PurePosixPath, set[str]] = {}
    for path in texts:
        classes.setdefault(path.parent.parent, set()).add(path.parent.name)
    # A class's folder has another beside it; so a README.txt is no review.
    chosen = [str(path) for path in texts if len(classes[path.parent.parent]) > 1]
    if len(chosen) > MAX_FILES:
        raise _LimitError(f"has more than {MAX_FILES:,} files")
    return chosen


def _folder_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    total = 0
    found = ((Path(base) / file).relative_to(folder).as_posix() for base, _, files in os.walk(folder) for file in files)
    for name in _chosen(list(found)):
        total = _checked(name, (folder / name).stat().st_size, total)
        yield name, (folder / name).read_bytes()


def _zip_files(path: Path) -> Iterator[tuple[str, bytes]]:
    total = 0
    with zipfile.ZipFile(path) as archive:
        for name in _chosen([entry.filename for entry in archive.infolist() if not entry.is_dir()]):
            size = archive.getinfo(name).file_size
            total = _checked(name, size, total)
            with archive.open(name) as stream:
                content = stream.read(size + 1)  # a zip may say less than it holds
            if len(content) > size:
                raise _LimitError(f"{name} holds more than the zip says")
            yield name, content


def _checked(name: str, size: int, total: int) -> int:
    if size > MAX_FILE:
        raise _LimitError(f"{name} is larger than {MAX_FILE / 1e6:.0f} MB")
    if total + size > MAX_TOTAL:
        raise _LimitError(f"holds more than {MAX_TOTAL / 1e9:.0f} GB")
    return total + size


def _decoded(content: bytes, encoding: str | None) -> str:
    try:
        return content.decode(encoding or "utf-8")
    except UnicodeDecodeError:
        if encoding is not None:
            raise
        return content.decode("latin-1")
    except LookupError as error:
        raise _LimitError(f"encoding {encoding} is not known") from error


def _texts(name: str, content: str) -> Iterator[tuple[int, str]]:
    if SENTENCES.fullmatch(PurePosixPath(name).name):
        lines = content.split("\n")
        yield from enumerate(lines[:-1] if lines[-1] == "" else lines, 1)
    else:
        yield 1, content


def _review(name: str, text: str) -> Review:
    parts = PurePosixPath(name).parts
    split = next((part for part in parts[:-1] if part in ("train", "test")), None)
    if sentences := SENTENCES.fullmatch(parts[-1]):
        return Review(text, sentences["label"], split, None)
    numbered = NUMBERED.match(parts[-1])
    return Review(text, parts[-2], split, int(numbered[1]) if numbered else None)
