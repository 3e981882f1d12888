"""The text of one or many files as one run of characters, read piece by piece, so that its size does not matter."""

import codecs
import glob
import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from seqlight.core.errors import UserError

PIECE = 2**20  # bytes read at a time
LONGEST_LINE = 4 * PIECE  # characters after which a line is cut though it goes on


def find_text_files(path: str | Sequence[str], endings: tuple[str, ...] = (".txt",)) -> list[Path]:
    """The files that a path means.

    Args:
        path: A file; a folder, which means every file under it with one of the endings; a pattern such as
            ``books/*.md`` (``**`` for any depth); or a list of such. Files of a folder or pattern are sorted by name, a
            list keeps its order, and no file is taken twice.
        endings: Endings of the names of files that a folder stands for.

    Raises:
        FileNotFoundError: Nothing is there, naming what was looked for.
        UserError: The path, or the list, is empty.
    """
    entries = [path] if isinstance(path, str) else list(path)
    if not entries or not all(entries):
        raise UserError(f"path {path!r} is empty; give a file, a folder or a pattern such as 'books/*.txt'")
    found: dict[Path, None] = {}
    for entry in entries:
        place = Path(entry).expanduser()
        if place.is_file():
            files = [place]
        elif place.is_dir():
            files = sorted(file for file in place.rglob("*") if file.name.endswith(endings) and file.is_file())
            if not files:
                known = " or ".join(endings)
                raise FileNotFoundError(f"path {entry}: the folder has no {known} file; name files or a pattern")
        else:
            matches = map(Path, glob.glob(str(place), recursive=True))  # noqa: PTH207  Path.glob wants relative patterns
            files = sorted(file for file in matches if file.is_file())
            if not files:
                raise FileNotFoundError(
                    f"path {entry}: no such file, and no file matches it as a pattern; give --data.path"
                )
        found |= dict.fromkeys(file.resolve() for file in files)
    return list(found)


class TextFiles:
    """Files read one after the other as one text, with nothing put between them.

    As in Python's own reading of text, line ends of other systems become ``\\n`` and a UTF-8 byte-order mark is left
    out.

    Args:
        files: The files, in order.
        encoding: Of all of them.

    Raises:
        UserError: Python knows no such encoding of text.
    """

    def __init__(self, files: Sequence[Path], encoding: str = "utf-8") -> None:
        try:
            name = codecs.lookup(encoding).name
            self._decoder = codecs.getincrementaldecoder("utf-8-sig" if name == "utf-8" else name)
            "".encode(name)
        except LookupError as error:
            raise UserError(f"text.encoding {encoding!r} is not known; give one such as utf-8 or latin-1") from error
        self.files, self.encoding = list(files), name

    @property
    def fingerprint(self) -> str:
        """12 hex digits of the files' paths, sizes and times of change; their contents are not read."""
        marks = [(str(file), (stat := file.stat()).st_size, stat.st_mtime_ns) for file in self.files]
        return hashlib.sha256(repr((self.encoding, marks)).encode()).hexdigest()[:12]

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
        decoder = io.IncrementalNewlineDecoder(self._decoder(), translate=True)
        done = 0
        with file.open("rb") as stream:
            while True:
                block = stream.read(PIECE)
                done += len(block)
                try:
                    text = decoder.decode(block, final=not block)
                except UnicodeDecodeError as error:
                    # What the decoder had in hand ends where the block ends, whatever was carried over from before.
                    byte = done - len(error.object) + error.start
                    raise UserError(
                        f"path {file}: byte {byte} (0x{error.object[error.start]:02x}) is not {self.encoding}; "
                        "give the file's --data.text.encoding, such as latin-1"
                    ) from error
                yield text, len(block)
                if not block:
                    return
