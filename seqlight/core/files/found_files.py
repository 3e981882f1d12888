"""Which files of a folder are data: one rule for every reader of a folder or a zip.

Operating systems, editors and notebooks leave files beside the data: ``._a.txt`` of macOS, ``.ipynb_checkpoints``,
``a.txt~``, ``a.bak.txt``, ``Thumbs.db``. They are passed over, as is everything whose path below the folder has a part
that begins with a dot. Endings are compared without regard to case. A reader logs :meth:`FoundFiles.remark`.
"""

import filecmp
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

SHOWN = 3  # files of a kind that a remark names
COMPARED = 2**16  # bytes of a file's beginning that tell most files of one size apart
STRAY = re.compile(
    r"\..*|.*~|~\$.*|#.*#"  # hidden files, backups of editors, lock files of office programs
    r"|.*\.(bak|backup|orig|rej|sw[a-p]|tmp|temp|part|partial|crdownload|filepart)"
    r"|.+\.(bak|backup|orig)\.\w+|.*\.~\d+~"
    r"|thumbs\.db|ehthumbs\w*\.db|desktop\.ini|icon\r"
    r"|__macosx|__pycache__|lost\+found|@eadir|\$recycle\.bin|system volume information",
    re.IGNORECASE | re.DOTALL,
)


@dataclass
class FoundFiles:
    """The files of a folder.

    Attributes:
        files: Those that are data, relative to the folder, with ``/`` between the parts.
        stray: Hidden files, backups, and what systems and programs keep for themselves.
        other: Those with other endings, or in other places, than a reader takes.
        copies: Those whose contents another file has, each with that file's name.
    """

    files: list[str] = field(default_factory=list)
    stray: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    copies: list[tuple[str, str]] = field(default_factory=list)

    def remark(self) -> str | None:
        """What was passed over, as half a sentence; None if nothing was."""
        kinds = (
            (self.stray, "hidden or backup file", "hidden or backup files"),
            (self.other, "other file", "other files"),
            ([f"{copy} as {first}" for copy, first in self.copies], "copy", "copies"),
        )
        said = [
            f"{len(names):,} {one if len(names) == 1 else many} ({shown_names(names)})"
            for names, one, many in kinds
            if names
        ]
        return f"passed over: {', '.join(said)}" if said else None


def shown_names(names: Sequence[str]) -> str:
    """The first few names, printable whatever bytes they are of."""
    return ", ".join(map(printable, names[:SHOWN])) + (", ..." if len(names) > SHOWN else "")


def printable(name: object) -> str:
    """A file's name with ``\\xff`` for a byte that is no UTF-8, which could neither be printed nor saved."""
    return os.fsencode(str(name)).decode("utf-8", "backslashreplace")


def is_stray(name: str) -> bool:
    """Whether a path below a folder is not data, by one of its parts."""
    return any(STRAY.fullmatch(part) for part in PurePosixPath(name).parts if part != "..")


def sift(names: Iterable[str], takes: Callable[[PurePosixPath], bool]) -> FoundFiles:
    """Divides the paths of files, relative to their folder, in their order.

    Args:
        names: The paths.
        takes: Whether a reader takes a file that is not stray.
    """
    found = FoundFiles()
    for name in names:
        (found.stray if is_stray(name) else found.files if takes(PurePosixPath(name)) else found.other).append(name)
    return found


def has_ending(endings: Sequence[str]) -> Callable[[PurePosixPath], bool]:
    """A test for :func:`sift`: whether a name ends in one of the endings, in letters of either case."""
    lower = tuple(ending.lower() for ending in endings)
    return lambda path: path.name.lower().endswith(lower)


def names_below(folder: Path) -> list[str]:
    """The paths of all regular files below a folder, relative to it, sorted by their parts.

    Links to folders are followed; a folder that is reached twice is read once.
    """
    found, seen = [], set()
    for base, folders, files in os.walk(folder, followlinks=True):
        place = Path(base).stat()
        if (place.st_dev, place.st_ino) in seen:
            folders.clear()
            continue
        seen.add((place.st_dev, place.st_ino))
        folders.sort()
        found += [path for name in files if (path := Path(base, name)).is_file()]
    return [path.relative_to(folder).as_posix() for path in sorted(found)]


def files_below(folder: Path, endings: Sequence[str]) -> FoundFiles:
    """The files below a folder whose names have one of the endings."""
    return sift(names_below(folder), has_ending(endings))


def named_file(folder: Path, name: str) -> Path | None:
    """The file of that name in a folder, else the only one whose name differs in case alone; None if there is none."""
    if (folder / name).is_file():
        return folder / name
    if not folder.is_dir():
        return None
    same = [path for path in folder.iterdir() if path.name.lower() == name.lower() and path.is_file()]
    return same[0] if len(same) == 1 else None


def copies_among(files: Sequence[Path]) -> Iterator[tuple[Path, Path]]:
    """The files whose contents an earlier one has, each with that one; empty files are no copies.

    Only files of one size and with the same beginning are read whole.
    """
    alike: dict[tuple[int, bytes], list[Path]] = {}
    sizes: dict[int, list[Path]] = {}
    for file in files:
        sizes.setdefault(file.stat().st_size, []).append(file)
    of_size = {file: size for size, members in sizes.items() if size and len(members) > 1 for file in members}
    for file in files:
        if file not in of_size:
            continue
        with file.open("rb") as stream:
            beginning = stream.read(COMPARED)
        before = alike.setdefault((of_size[file], beginning), [])
        first = next((other for other in before if filecmp.cmp(other, file, shallow=False)), None)
        if first is None:
            before.append(file)
        else:
            yield file, first
