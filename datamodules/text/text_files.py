"""The text of one or many files as one run of characters, read piece by piece, so that its size does not matter."""

import codecs
import glob
import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_info

from seqlight.core.encodings import encoding_of_file, known_encoding
from seqlight.core.errors import UserError
from seqlight.core.files.digests import print_of_all
from seqlight.core.files.found_files import FoundFiles, copies_among, files_below, is_stray, printable
from seqlight.core.files.paths import expanded

PIECE = 2**20  # bytes read at a time
LONGEST_LINE = 4 * PIECE  # characters after which a line is cut though it goes on


def find_text_files(path: str | Sequence[str], endings: tuple[str, ...] = (".txt",)) -> list[Path]:
    """The files that a path means; a log line says which files of folders and patterns are passed over.

    Args:
        path: A file; a folder, which means every file under it with one of the endings; a pattern such as
            ``books/*.md`` (``**`` for any depth); or a list of such. Files of a folder or pattern are sorted by name, a
            list keeps its order, and no file is taken twice, nor another with the same contents.
        endings: Endings of the names of files that a folder stands for.

    Raises:
        FileNotFoundError: Nothing is there, naming what was looked for.
        UserError: The path, or the list, is empty.
    """
    entries = [path] if isinstance(path, str) else list(path)
    if not entries or not all(entries):
        raise UserError(f"path {path!r} is empty; give a file, a folder or a pattern such as 'books/*.txt'")
    found: dict[Path, str] = {}  # each file, by its own path, with the name that messages give it
    passed = FoundFiles()
    for entry in entries:
        place = expanded(entry)
        if place.is_file():
            found.setdefault(place.resolve(), entry)
            continue
        inside = files_below(place, endings) if place.is_dir() else files_of_pattern(place)
        if not inside.files:
            raise FileNotFoundError(f"path {entry}: {_nothing_found(place, endings, inside)}")
        for name in inside.files:
            found.setdefault((place / name if place.is_dir() else Path(name)).resolve(), name)
        passed.stray += inside.stray
        passed.other += inside.other
    files = list(found)
    for copy, first in copies_among(files):
        passed.copies.append((found.pop(copy), found[first]))
    if remark := passed.remark():
        rank_zero_info(f"path {printable(path)}: {remark}")
    return list(found)


def files_of_pattern(pattern: Path) -> FoundFiles:
    """The files that match a pattern; stray ones only where the pattern's last part asks for such, as in ``*.bak``."""
    names = sorted(glob.glob(str(pattern), recursive=True))  # noqa: PTH207  Path.glob wants relative patterns
    files = [name for name in names if Path(name).is_file()]
    at = next((at for at, part in enumerate(pattern.parts) if glob.has_magic(part)), len(pattern.parts))
    found = FoundFiles()
    for name in files:
        below = "/".join(Path(name).parts[at:])
        (found.stray if is_stray(below) and not is_stray(pattern.name) else found.files).append(name)
    return found


def _nothing_found(place: Path, endings: tuple[str, ...], found: FoundFiles) -> str:
    if place.is_dir():
        text = f"the folder has no {' or '.join(endings)} file; name files or a pattern"
    else:
        text = "no such file, and no file matches it as a pattern; give --data.path"
    remark = found.remark()
    return f"{text} ({remark})" if remark else text


class TextFiles:
    """Files read one after the other as one text, with nothing put between them.

    As in Python's own reading of text, line ends of other systems become ``\\n``. A byte-order mark is left out, and
    decides on the encoding of its file.

    Args:
        files: The files, in order.
        encoding: Of all that do not say otherwise.

    Raises:
        UserError: Python knows no such encoding of text.
    """

    def __init__(self, files: Sequence[Path], encoding: str = "utf-8") -> None:
        self.files, self.encoding = list(files), known_encoding(encoding)

    @property
    def fingerprint(self) -> str:
        """12 hex digits of the files' contents and encoding; of very large files, also of their times of change."""
        return hashlib.sha256(repr((self.encoding, print_of_all(self.files))).encode()).hexdigest()[:12]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.stat().st_size for file in self.files)

    def count(self, done: Callable[[int], object] = lambda size: None) -> int:
        """Number of characters; reads everything, and tells ``done`` of each piece how many bytes it was."""
        characters = 0
        for file in self.files:
            for text, size in self._decoded(file):
                characters += len(text)
                done(size)
        return characters

    def pieces(self, start: int = 0, stop: int | None = None) -> Iterator[str]:
        """The characters from ``start`` up to ``stop`` (default: the end), in pieces of about a million.

        Raises:
            UserError: A file is not of the encoding; the message names the file and the byte.
        """
        at = 0
        for file in self.files:
            if stop is not None and at >= stop:
                return
            for text, _ in self._decoded(file):
                first, last = max(start - at, 0), len(text) if stop is None else min(stop - at, len(text))
                if first < last:
                    yield text[first:last]
                at += len(text)
                if stop is not None and at >= stop:
                    break

    def line_pieces(self, start: int = 0, stop: int | None = None) -> Iterator[str]:
        """As :meth:`pieces`, but cut at line ends; a line of millions of characters is cut at a space, or anywhere."""
        carried = ""
        for piece in self.pieces(start, stop):
            text = carried + piece
            cut = text.rfind("\n") + 1
            if cut == 0 and len(text) >= LONGEST_LINE:
                cut = text.rfind(" ") + 1 or len(text)
            if cut:
                yield text[:cut]
            carried = text[cut:]
        if carried:
            yield carried

    def _decoded(self, file: Path) -> Iterator[tuple[str, int]]:
        """A file's text in pieces, each with the number of bytes that were read for it."""
        done = 0
        with file.open("rb") as stream:
            encoding = encoding_of_file(stream, self.encoding)
            decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)(), translate=True)
            while True:
                block = stream.read(PIECE)
                done += len(block)
                try:
                    text = decoder.decode(block, final=not block)
                except UnicodeDecodeError as error:
                    # What the decoder had in hand ends where the block ends, whatever was carried over from before.
                    byte = done - len(error.object) + error.start
                    wrong, name = error.object[error.start], encoding.removesuffix("-sig")
                    raise UserError(
                        f"path {printable(file)}: byte {byte} (0x{wrong:02x}) is not {name}; "
                        "give the file's --data.text.encoding, such as latin-1"
                    ) from error
                yield text, len(block)
                if not block:
                    return
