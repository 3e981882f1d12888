"""What models that count reach on a folder of music, each piece's suite held out in turn: nats per note.

    python benchmarks/studies/music_baselines.py --path ../shared/data/cello-suites

Reads the folder as `seqlight fit --config music/lstm --data.path FOLDER` does with
`--data.split.held_out 'bwv1007*'`: same pieces, same tokens, the tokenizer of the same training pieces.
For each fold and order, n-grams with Witten-Bell and Kneser-Ney smoothing and PPM (method C) are fitted,
in three forms (seq_modules/reference/ngram.py), and
their nats per note are measured on the suite that was left out: -log p of pitch and duration together, rests and the
end of a piece counted as notes, as in the networks' test/loss. Every model is measured twice, as it is fitted ("fixed")
and learning on within each piece ("adaptive"); and fitted twice, on the pieces as they are ("plain"), and on all their
transpositions from 5 semitones down to 6 up, as the networks are ("transposed"). The best of each row of the summary is
chosen by its mean over the folds, on the test pieces: that flatters the baselines a little.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Sequence

from datamodules import MidiDataModule
from datamodules.tokenizers.music.midi import NOTHING, NoteTokenizer
from seq_modules.reference.ngram import FORMS, METHODS, Event, EventModel
from seqlight.music.notes import Piece, transposed

ADAPTIVE = {"fixed": False, "adaptive": True}
Key = tuple[str, str, str, str, int]  # fitted, measured, method, form, order


def events_of(piece: Piece, tokenizer: NoteTokenizer) -> list[Event]:
    """A piece's events and its end, with symbols from 0 on; what is never predicted (START, "nothing") is -1."""
    events = [tuple(value - 1 for value in event) for event in tokenizer.encode(piece).tolist()]
    assert tokenizer.start_id == NOTHING == 0
    return [*events, (tokenizer.end_id - 1, *[-1] * (len(tokenizer.fields) - 1))]


def fold(path: str, pattern: str, voices: str, args: argparse.Namespace) -> dict[Key, float]:
    """Nats per note of every model on the pieces that fit a pattern, fitted on the others."""
    data = MidiDataModule(
        path,
        split={"held_out": pattern},  # type: ignore[arg-type]
        tokens={"voices": voices},  # type: ignore[arg-type]
    )
    tokenizer = data.tokenizer
    sizes = [size - 1 for size in tokenizer.vocab_sizes]
    test = [events_of(piece, tokenizer) for piece in data.test_pieces()]
    notes = sum(map(len, test))
    found: dict[Key, float] = {}
    for fitted in args.fitted:
        semitones = range(data.transpose[0], data.transpose[1] + 1) if fitted == "transposed" else [0]
        train = [events_of(transposed(piece, by), tokenizer) for piece in data.train_pieces() for by in semitones]
        for method, form, order in itertools.product(args.methods, args.forms, args.orders):
            if fitted == "transposed" and form == "joint":
                continue  # twelve times the pairs of pitch and duration, and never the best
            model = EventModel(sizes, order, method, form)
            model.learn(train)
            for measured, adaptive in ADAPTIVE.items():
                nats = sum(model.nats(piece, adaptive) for piece in test)
                found[fitted, measured, method, form, order] = nats / notes
    print(f"{pattern}: {len(test)} pieces, {notes:,} notes, {time.strftime('%H:%M:%S')}", flush=True)
    return found


def row(name: str, values: Sequence[float]) -> str:
    """A line of a table: the folds, their mean, and the standard deviation between them."""
    cells = " | ".join(f"{value:.3f}" for value in values)
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"| {name} | {cells} | {statistics.mean(values):.3f} | {spread:.3f} |"


def report(folds: dict[str, dict[Key, float]], args: argparse.Namespace) -> None:
    """Prints the means by order, and each family's best by fold."""
    keys = list(next(iter(folds.values())))
    means = {key: statistics.mean(found[key] for found in folds.values()) for key in keys}
    print("\nMean over the folds, by order\n")
    print(f"| fitted | measured | method | form | {' | '.join(map(str, args.orders))} |")
    print(f"|---|---|---|---|{'---:|' * len(args.orders)}")
    for group in dict.fromkeys(key[:4] for key in keys):
        print(f"| {' | '.join(group)} | {' | '.join(f'{means[(*group, order)]:.3f}' for order in args.orders)} |")
    print(f"\nBest of each\n\n| model | {' | '.join(folds)} | mean | spread |\n|---|{'---:|' * (len(folds) + 2)}")
    families: dict[tuple[str, str, str], list[Key]] = {}
    for key in keys:
        kind = "PPM" if key[2] == "ppm" else "n-gram"
        families.setdefault((key[0], key[1], kind), []).append(key)
    for family, members in families.items():
        best = min(members, key=means.__getitem__)
        name = f"{family[2]}, {family[0]}, {family[1]}: {best[2]}, {best[3]}, order {best[4]}"
        print(row(name, [found[best] for found in folds.values()]))


def main() -> None:
    """Fits, measures and prints."""
    parser = argparse.ArgumentParser(description="Nats per note of n-grams and PPM, suite by suite.")
    parser.add_argument("--path", required=True, help="folder of MIDI files")
    parser.add_argument("--folds", nargs="+", default=[f"bwv{number}*" for number in range(1007, 1013)])
    parser.add_argument("--voices", choices=["top", "all"], default="top")
    parser.add_argument("--orders", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--fitted", nargs="+", choices=["plain", "transposed"], default=["plain", "transposed"])
    args = parser.parse_args()
    folds = {pattern: fold(args.path, pattern, args.voices, args) for pattern in args.folds}
    report(folds, args)


if __name__ == "__main__":
    main()
