"""Small files of every kind that a person gives, and how they are spoiled."""

import io
import json
import random
import struct
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path

from helpers.hostile.checkpoints import changed_bytes

NOUNS = ["fox", "river", "lamp", "stone", "garden", "clock", "window", "sailor", "letter", "mountain"]


def sentences(count: int, rng: random.Random) -> list[str]:
    """Made-up sentences."""
    return [f"The {rng.choice(NOUNS)} sees the {rng.choice(NOUNS)} {number}." for number in range(count)]


def midi(rng: random.Random) -> bytes:
    """A piece of one track."""
    track = b"\x00\xff\x58\x04\x04\x02\x18\x08"
    for _ in range(40):
        pitch = rng.randrange(48, 72)
        track += bytes([0, 0x90, pitch, 64, 24, 0x80, pitch, 0])
    track += b"\x00\xff\x2f\x00"
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, 24) + b"MTrk" + struct.pack(">I", len(track)) + track


def sound() -> bytes:
    """A short WAV, which is none of the files that are wanted."""
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8000)
        file.writeframes(bytes(100))
    return made.getvalue()


def zipped(files: dict[str, str]) -> bytes:
    """A zip of texts by their names."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return made.getvalue()


def sentencepiece(rng: random.Random) -> bytes:
    """A SentencePiece model, trained here once."""
    global _MODEL
    if _MODEL is None:
        import sentencepiece

        made = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences(200, rng)), model_writer=made, vocab_size=400, minloglevel=2,
            normalization_rule_name="identity", add_dummy_prefix=False, remove_extra_whitespaces=False,
            byte_fallback=True, hard_vocab_limit=False,
        )  # fmt: skip
        _MODEL = made.getvalue()
    return _MODEL


_MODEL: bytes | None = None


def whole(kind: str, rng: random.Random) -> bytes:
    """A file of a kind as it should be."""
    texts = sentences(40, rng)
    labelled = [(text, f"class{number % 2}") for number, text in enumerate(texts)]
    numbers = [[number, rng.random(), rng.random()] for number in range(120)]
    match kind:
        case "csv":
            return ("text,label\n" + "".join(f'"{text}",{label}\n' for text, label in labelled)).encode()
        case "tsv":
            return ("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in labelled)).encode()
        case "jsonl":
            return "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in labelled).encode()
        case "trec":
            names = ("ABBR:abb", "DESC:def", "ENTY:animal", "HUM:ind", "LOC:city", "NUM:count")
            return "".join(f"{names[number % 6]} {text}\n" for number, text in enumerate(texts)).encode()
        case "zip":
            files = {f"r/{label}/cv{number:03d}.txt": text for number, (text, label) in enumerate(labelled)}
            return zipped(files)
        case "txt":
            return "\n".join(texts * 4).encode()
        case "pairs":
            return ("source\ttarget\n" + "".join(f"{text}\t{text[::-1]}\n" for text in texts)).encode()
        case "series":
            rows = [f"2024-01-{1 + hour // 24:02d} {hour % 24:02d}:00:00,{a},{b}" for hour, a, b in numbers]
            return ("date,a,b\n" + "\n".join(rows) + "\n").encode()
        case "table":
            return ("x,y,class\n" + "".join(f"{a},{b},{int(number) % 2}\n" for number, a, b in numbers)).encode()
        case "conllu":
            rows = []
            for text in texts:
                rows += [
                    f"{place}\t{word}\t_\tNOUN" + 6 * "\t_" for place, word in enumerate(text.split(), start=1)
                ] + [""]
            return ("\n".join(rows) + "\n").encode()
        case "midi":
            return midi(rng)
        case "chorales":
            piece = [[60, 64, 67, 72]] * 40
            return json.dumps({split: [piece] * 4 for split in ("train", "valid", "test")}).encode()
        case "vectors":
            return "".join(f"{word} {' '.join('0.5' for _ in range(8))}\n" for word in ["the", "sees", *NOUNS]).encode()
        case "model":
            return sentencepiece(rng)
    raise ValueError(kind)


def line_changed(data: bytes, rng: random.Random) -> bytes:
    """Something else in the place of a line, a cell or a few characters."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    pieces = (
        b"", b'"', b'"' * 3, b",,,,", b"\t\t\t", b"\x00" * 5, b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"[" * 5000,
        b"{" * 5000, b"9" * 5000, b"1e400", b"nan", b"-1", b"1e999999999", b"null", b'{"text": 3}',
        b"\xed\xa0\xbd", b"a" * 200_000,
        b"=cmd|' /C calc'!A0", "\u202e\u2028\u0085".encode(), b"\x1b[2J", b'{"text": "\\ud83d", "label": "a"}',
        b"0", b"2024-13-45",
    )  # fmt: skip
    piece = rng.choice(pieces)
    match rng.randrange(5):
        case 0:
            lines[at] = piece
        case 1:
            lines.insert(at, piece)
        case 2:
            lines[at] = lines[at][: len(lines[at]) // 2] + piece + lines[at][len(lines[at]) // 2 :]
        case 3:
            lines = [line.replace(b",", piece, 1) if b"," in line else line + piece for line in lines]
        case _:
            lines[at] = lines[at].swapcase()
    return b"\n".join(lines)


def recoded(data: bytes, rng: random.Random) -> bytes:
    """The text in another encoding, or with other ends of lines."""
    text = data.decode("latin-1")
    match rng.randrange(6):
        case 0:
            return text.encode("utf-16")
        case 1:
            return text.encode("utf-32")
        case 2:
            return data.replace(b"\n", b"\r\n")
        case 3:
            return data.replace(b"\n", b"\r")
        case 4:
            return b"\xef\xbb\xbf" + data
        case _:
            return data.replace(b"e", b"\xe9")


def other_size(data: bytes, rng: random.Random) -> bytes:
    """Nothing, one line, one line many times, or a few megabytes."""
    first = data.split(b"\n")[0] + b"\n"
    return rng.choice(
        (b"", b"\n", b"\n" * 10_000, first, first * 2_000, data * 20, b'"' + b"a,b\n" * 500_000, bytes(3_000_000))
    )


def other_kind(data: bytes, rng: random.Random) -> bytes:
    """A file of another kind under this name."""
    kind = rng.choice(("csv", "jsonl", "zip", "midi", "chorales", "model", "sound"))
    return sound() if kind == "sound" else whole(kind, rng)


def bomb(data: bytes, rng: random.Random) -> bytes:
    """A zip that unpacks to far more than it is, or whose names lead elsewhere."""
    match rng.randrange(4):
        case 0:
            return zipped({"r/a/x.txt": "a" * 60_000_000, "r/b/x.txt": "b"})
        case 1:
            return zipped({f"../../{number}/a.txt": "text" for number in range(20)})
        case 2:
            return zipped({f"r/c{number}/a.txt": "text" for number in range(3_000)})
        case _:
            return zipped({"/etc/a/x.txt": "text", "r/b\n/x.txt": "text", "r/\x00/x.txt": "text"})


SPOILERS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "line": line_changed,
    "bytes": changed_bytes,
    "encoding": recoded,
    "size": other_size,
    "kind": other_kind,
    "zip": bomb,
}


def write_spoiled(kind: str, target: Path, rng: random.Random) -> str:
    """Writes a spoiled file of a kind; how it was spoiled."""
    target.parent.mkdir(parents=True, exist_ok=True)
    spoilers = ["bytes", "bytes", "size", "kind"] if kind in ("zip", "midi", "model") else ["line", "line", "line"]
    spoilers += ["zip"] if kind == "zip" else ["bytes", "encoding", "size", "kind"]
    how = rng.choice(spoilers)
    target.write_bytes(SPOILERS[how](whole(kind, rng), rng))
    return how
