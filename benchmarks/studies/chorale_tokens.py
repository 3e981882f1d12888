"""Bach's chorales as text, one character for each voice at each sixteenth, for a language model.

    python benchmarks/studies/chorale_tokens.py jsb-chorales-quarter.json chorales.txt

The notes are those of music21's corpus (pip install 'seqlight[music]'), which are read once and cached. The split into
training, validation and test is the published one of jsb-chorales-quarter.json (229, 76 and 77 pieces), which has sets
of pitches on quarters and no voices: a chorale of the corpus belongs to the piece with which it shares the most windows
of five quarters, in any key, and is left out where it shares less than a quarter of them with all.

A chorale is a line of soprano, alto, tenor and bass, then those of the next sixteenth, and so on (the order of Huang et
al., "Music Transformer", 2019). A pitch is the character of its MIDI number and 12, a rest is ~. A note that is held is
written again. The training part comes first, in twelve keys, then validation and test as they are written. The last
line that the program prints has the fractions of the text to train and test with.
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from datamodules.loading.cache import cache_folder
from datamodules.music.sources.chorales import corpus_scores
from seqlight.core.errors import UserError
from seqlight.music.notes import TICKS_PER_QUARTER

SPLITS = ("train", "valid", "test")
SIXTEENTH = TICKS_PER_QUARTER // 4
WINDOW = 5  # quarters
SHARED = 0.25  # of the windows of both
KEYS = range(-5, 7)  # semitones
REST = -1
FIRST = 12  # the character of pitch 0; those of music are printable then

Frames = list[tuple[int, ...]]


def voices(parts: Sequence[Sequence[Sequence[int]]]) -> Frames:
    """Pitches at each sixteenth, in the order of the parts, whose notes are [start, pitch, duration] in ticks."""
    size = max(start + duration for part in parts for start, _, duration in part) // SIXTEENTH
    rows = []
    for part in parts:
        row = [REST] * size
        for start, pitch, duration in part:
            begin, end = round(start / SIXTEENTH), min(round((start + duration) / SIXTEENTH), size)
            row[begin:end] = [pitch] * (end - begin)
        rows.append(row)
    return list(zip(*rows, strict=True))


def windows(frames: Sequence[Sequence[int]]) -> Counter[tuple[tuple[int, ...], ...]]:
    """Windows of WINDOW frames, as sets of pitches above the first one, how often each occurs."""
    sets = [tuple(sorted({pitch for pitch in frame if pitch != REST})) for frame in frames]
    found: Counter[tuple[tuple[int, ...], ...]] = Counter()
    for begin in range(len(sets) - WINDOW + 1):
        part = sets[begin : begin + WINDOW]
        lowest = next((frame[0] for frame in part if frame), 0)
        found[tuple(tuple(pitch - lowest for pitch in frame) for frame in part)] += 1
    return found


def by_split(chorales: Sequence[Frames], quarters: dict[str, list[list[list[int]]]]) -> dict[str, list[Frames]]:
    """The chorales of each split; of those that belong to one piece for validation or test, the most alike."""
    pieces = {(split, number): windows(piece) for split in SPLITS for number, piece in enumerate(quarters[split])}
    found: dict[tuple[str, int], list[tuple[float, int]]] = {}
    for index, frames in enumerate(chorales):
        own = [windows(frames[offset::4]) for offset in range(4)]  # an upbeat may be shorter than a quarter

        def shared(piece: tuple[str, int], own: list[Counter] = own) -> float:  # type: ignore[type-arg]
            other = pieces[piece]
            return max((one & other).total() / max(1, one.total(), other.total()) for one in own)

        best = max(pieces, key=shared)
        if shared(best) >= SHARED:
            found.setdefault(best, []).append((shared(best), index))
    kept: dict[str, list[Frames]] = {split: [] for split in SPLITS}
    for (split, _), likely in sorted(found.items()):
        likely.sort(reverse=True)
        kept[split] += [chorales[index] for _, index in (likely if split == "train" else likely[:1])]
    return kept


def line(frames: Frames, up: int = 0) -> str:
    """A chorale as a line of text, so many semitones higher."""
    return "".join("~" if pitch == REST else chr(FIRST + pitch + up) for frame in frames for pitch in frame) + "\n"


def text(kept: dict[str, list[Frames]]) -> tuple[str, float, float]:
    """The whole text, and the fractions of it that are for validation and test, which int() turns into whole lines."""
    train = "".join(line(frames, up) for up in KEYS for frames in kept["train"])
    val, test = ("".join(map(line, kept[split])) for split in ("valid", "test"))
    size = len(train) + len(val) + len(test)
    return train + val + test, len(val) / size, (len(test) - 0.5) / size


def main() -> None:
    """Reads the corpus and writes the text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("quarters", type=Path, help="jsb-chorales-quarter.json")
    parser.add_argument("text", type=Path, help="the file to write")
    parser.add_argument("--cache_dir", help="folder of what is read; by default that of seqlight")
    args = parser.parse_args()
    try:
        quarters = json.loads(args.quarters.read_text(encoding="utf-8"))
        chorales = [voices(score["parts"]) for score in corpus_scores(cache_folder(args.cache_dir))]
    except (UserError, OSError, ValueError) as error:
        parser.error(str(error))
    if not isinstance(quarters, dict) or not set(SPLITS) <= set(quarters):
        parser.error(f"{args.quarters}: has no pieces for {', '.join(SPLITS)}; give jsb-chorales-quarter.json")
    kept = by_split(chorales, quarters)
    written, val, test = text(kept)
    args.text.write_text(written, encoding="utf-8")
    print(", ".join(f"{len(pieces)} chorales for {split}" for split, pieces in kept.items()))
    print(f"--data.path {args.text} --data.split.val_fraction {val:.10f} --data.split.test_fraction {test:.10f}")


if __name__ == "__main__":
    main()
