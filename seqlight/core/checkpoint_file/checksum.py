"""A checkpoint's SHA-256, in the file itself: a zip, as torch.save writes it, ends in a comment of any text.

The checksum is of all bytes before it, so that no flipped bit passes. Torch itself writes a CRC-32 of each record and
compares none of them.
"""

import contextlib
import hashlib
import json
import os
import zipfile
from pathlib import Path

MARK = b"seqlight sha256 "
DIGITS = 64
LENGTH = len(MARK) + DIGITS  # of the comment
END, ENDS_WITH = 22, b"PK\5\6"  # bytes of a zip's last record without its comment, and what it begins with
SUMS = ".sha256"  # in a checkpoint that is a folder: the checksum of each file


def seal(path: Path) -> None:
    """Writes the checksum of a file that torch.save has written, or of the files of a folder."""
    if path.is_dir():
        sums = {file.name: _sum(file) for file in _files(path)}
        (path / SUMS).write_text(json.dumps(sums, indent=1) + "\n", encoding="utf-8")
        return
    with path.open("r+b") as file:
        file.seek(-2, os.SEEK_END)  # how long the comment is
        file.write(LENGTH.to_bytes(2, "little") + MARK)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0, os.SEEK_END)
        file.write(digest.encode())


def is_whole(path: Path) -> bool:
    """Whether a file or folder is as it was written.

    Of a file without a checksum of ours the CRC-32 of each record is compared, and a file that is no zip counts as
    whole: what can be known of it, its reader finds out.
    """
    if path.is_dir():
        return _is_whole_folder(path)
    with path.open("rb") as file:
        is_zip = file.read(2) == ENDS_WITH[:2]
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - END - LENGTH))
        end = file.read()
    # One flipped bit, or a cut, may have taken the mark or what stands before it.
    _, mark, digits = end.rpartition(MARK)
    last = end[end.rfind(ENDS_WITH) :] if ENDS_WITH in end else b""
    if mark or last[END - 2 : END] == LENGTH.to_bytes(2, "little"):
        return len(digits) == DIGITS and _has_sum(path, size - DIGITS, digits)
    return not is_zip or _has_whole_records(path)


def _has_whole_records(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
            is_plain = all(info.compress_type == zipfile.ZIP_STORED for info in records)
            if not is_plain or sum(info.file_size for info in records) > path.stat().st_size:
                return True  # more than the file's own bytes would be read: none of torch's, which its reader refuses
            return archive.testzip() is None
    except Exception:  # of zipfile, and of whatever it takes for the way in which a record is packed
        return False


def _is_whole_folder(path: Path) -> bool:
    if not (path / SUMS).exists():
        return True
    with contextlib.suppress(OSError, ValueError):
        sums = json.loads((path / SUMS).read_text(encoding="utf-8"))
        return sums == {file.name: _sum(file) for file in _files(path)}
    return False


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.iterdir() if file.name != SUMS and file.is_file())


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _has_sum(path: Path, size: int, digits: bytes) -> bool:
    """Whether the first ``size`` bytes have that checksum."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while size and (block := file.read(min(size, 2**20))):
            total.update(block)
            size -= len(block)
    return total.hexdigest().encode() == digits
