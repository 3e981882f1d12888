"""Bytes as text: byte-order marks and UTF-16 are recognised, whatever encoding was expected."""

import codecs
from collections.abc import Iterator
from typing import BinaryIO

from seqlight.core.errors import UserError

# UTF-32's little-endian mark begins with UTF-16's.
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
HEAD = 4096  # bytes by which an encoding is recognised


def known_encoding(name: str, argument: str = "text.encoding") -> str:
    """Python's name of an encoding of text.

    Args:
        name: Such as utf-8 or latin-1.
        argument: Option that gave it, for the message.

    Raises:
        UserError: Python has no such encoding.
    """
    try:
        found = codecs.lookup(name).name
        "".encode(found)
    except (LookupError, ValueError) as error:
        raise UserError(f"{argument} {name!r} is not known; give one such as utf-8 or latin-1") from error
    return found


def encoding_of(head: bytes, expected: str = "utf-8") -> str:
    """The encoding of a file by its first bytes.

    A byte-order mark decides, for no text begins with these characters. Without one, UTF-16 is recognised where UTF-8
    or an encoding of one byte a character is expected: every second byte of most texts in it is 0.

    Args:
        head: The file's first bytes, :data:`HEAD` of them or all.
        expected: The encoding to use otherwise, a name of Python's.
    """
    for mark, encoding in MARKS:
        if head.startswith(mark):
            return encoding
    half = len(head) // 2
    if half >= 2 and not expected.startswith(("utf-16", "utf-32")):
        for start, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
            zeros, others = head[start : 2 * half : 2].count(0), head[1 - start : 2 * half : 2].count(0)
            if zeros > 0.4 * half and others < 0.05 * half:
                return encoding
    return expected


def encoding_of_file(stream: BinaryIO, expected: str = "utf-8") -> str:
    """As :func:`encoding_of`, for a file that is open at its beginning, and is there again afterwards."""
    head = stream.read(HEAD)
    stream.seek(0)
    return encoding_of(head, expected)


def decoded(content: bytes, expected: str = "utf-8", errors: str = "strict") -> str:
    """A file's text, without its byte-order mark.

    Raises:
        UnicodeDecodeError: A byte does not belong to the encoding.
    """
    return content.decode(encoding_of(content[:HEAD], expected), errors)


def lines_of(text: str) -> Iterator[str]:
    r"""The lines of a text, without their ends: ``\n``, ``\r\n``, or ``\r`` where nothing else ends a line.

    Unlike ``str.splitlines``, for which a line ends at U+2028 too.
    """
    end = "\r" if "\r" in text and "\n" not in text else "\n"
    lines = text.removesuffix(end).split(end) if text else []
    return (line.removesuffix("\r") for line in lines)
