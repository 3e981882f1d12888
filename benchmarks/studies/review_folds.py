"""Ten-fold accuracy on Pang & Lee's reviews beside scikit-learn's TF-IDF and logistic regression, fold by fold.

    python benchmarks/studies/review_folds.py ../shared/data/movie-reviews/movie_reviews.zip --fold_by number
    python benchmarks/studies/review_folds.py ../shared/data/movie-reviews/sentence_polarity.zip

Both read the same texts of a fold, as ReviewsDataModule makes them: 2,000 long reviews, whose folds Pang & Lee gave by
their numbers (--fold_by number), or 10,662 sentences, in stratified folds. Ours is a recipe, trained and tested by
`seqlight fit` and `seqlight test` in this process, into runs/sweeps/review_folds; its best checkpoint is chosen on the
fold's validation split. The peer has words and pairs of words, its strength of regularisation chosen on the same
split, and is then fitted anew on training and validation together, which is to its advantage. The table has each
fold's accuracy; below stand the means, their spread over folds, and the mean difference with its standard error.
Settings of the recipe follow it, such as: --recipe reviews/lstm data.tokens.max_seq_len=400 trainer.max_epochs=4.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from datamodules import ReviewsDataModule
from datamodules.classification.examples import Examples
from datamodules.classification.reviews import ReviewSplit
from seqlight.sweep import Sweep, train

STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0)  # of the peer: inverse of its regularisation
FOLDS = 10
# Arguments of the data that decide which texts are trained on and tested.
SPLITTING = {"path", "test_path", "text", "classes", "split"}


def joined(first: Examples, second: Examples) -> Examples:
    """The rows of both."""
    return Examples.of([*first.texts, *second.texts], np.concatenate([first.labels, second.labels]).tolist())


def peer(splits: dict[str, Examples]) -> float:
    """Accuracy on the test rows of TF-IDF over words and pairs of words with logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    def features(*parts: Examples) -> tuple[Any, ...]:
        """Of each part, by the words of the first."""
        words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True).fit(parts[0].texts)
        return tuple(words.transform(part.texts) for part in parts)

    def fitted(x: Any, rows: Examples, strength: float) -> Any:
        return LogisticRegression(C=strength, max_iter=1000).fit(x, rows.labels)

    train, held, test = splits["train"], splits["val"], splits["test"]
    x_train, x_held = features(train, held)
    scores = {c: fitted(x_train, train, c).score(x_held, held.labels) for c in STRENGTHS}
    best = max(STRENGTHS, key=scores.__getitem__)
    both = joined(train, held)
    x_both, x_test = features(both, test)
    return float(fitted(x_both, both, best).score(x_test, test.labels))


def few(path: str, rows: int, folder: Path) -> str:
    """A file of the first reviews of each class, `rows` in all, to try things."""
    data = ReviewsDataModule(path=path)
    names = data.class_names
    kept = [r for name in names for r in [x for x in data.reviews if x.label == name][: rows // len(names)]]
    file = folder / f"{rows}_reviews.jsonl"
    file.write_text("".join(json.dumps({"text": r.text, "label": r.label}) + "\n" for r in kept), encoding="utf-8")
    return str(file)


def compare(args: argparse.Namespace, path: str) -> None:
    """Fits both on each fold and prints the table."""
    of_data = {"path": path, "split.fold_by": args.fold_by, "split.folds": FOLDS}
    settings = dict(word.split("=", 1) for word in args.settings)
    sweep = Sweep(
        name="review_folds",
        config=[args.recipe],
        metric="test/accuracy",
        grid={"data.split.fold": list(range(1, FOLDS + 1))},
        set={**{f"data.{name}": value for name, value in of_data.items()}, "seed_everything": args.seed, **settings},
    )
    sweep.folder.mkdir(parents=True, exist_ok=True)
    print(f"{args.recipe} {' '.join(args.settings)}, seed {args.seed}; {args.path}, folds {args.fold_by}\n")
    print(f"| fold | rows | TF-IDF, logistic regression | s | {args.recipe} | s |\n|---:|---:|---:|---:|---:|---:|")
    theirs, ours = [], []
    for fold in range(1, args.folds + 1):
        splits = ReviewsDataModule(path, split=ReviewSplit(fold=fold, folds=FOLDS, fold_by=args.fold_by)).as_read
        started = time.monotonic()
        theirs.append(peer(splits))
        seconds = time.monotonic() - started
        metrics, _ = train(sweep, {"data.split.fold": fold})
        ours.append(metrics[sweep.metric])
        cells = (fold, len(splits["test"]), f"{theirs[-1]:.4f}", f"{seconds:.0f}", f"{ours[-1]:.4f}")
        print(f"| {' | '.join(map(str, cells))} | {metrics['fit/seconds']:.0f} |", flush=True)
    print()
    for name, values in (("TF-IDF, logistic regression", theirs), (args.recipe, ours)):
        print(f"{name}: {told(values)}")
    differences = [b - a for a, b in zip(theirs, ours, strict=True)]
    error = f", standard error {statistics.stdev(differences) / len(differences) ** 0.5:.4f}" if args.folds > 1 else ""
    print(f"ours more than the peer by {statistics.mean(differences):+.4f}{error}")


def told(values: list[float]) -> str:
    """Mean and spread over the folds."""
    spread = f", standard deviation {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"mean of {len(values)} folds {statistics.mean(values):.4f}{spread}"


def main() -> None:
    """Reads the arguments and compares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", help="movie_reviews.zip, sentence_polarity.zip, or what else ReviewsDataModule reads")
    parser.add_argument("--recipe", default="reviews/mean")
    parser.add_argument("settings", nargs="*", help="of the recipe, as name=value")
    parser.add_argument("--fold_by", choices=["stratified", "number"], default="stratified")
    parser.add_argument("--folds", type=int, default=FOLDS, choices=range(1, FOLDS + 1), help="how many of the ten")
    parser.add_argument("--seed", type=int, default=0, help="of the recipe's training")
    parser.add_argument("--limit", type=int, help="of the texts, to try things")
    args = parser.parse_intermixed_args()  # settings may stand behind options
    try:
        import sklearn  # noqa: F401
    except ImportError:
        sys.exit("review_folds: the peer is scikit-learn, which is not here; pip install scikit-learn")
    if any("=" not in word for word in args.settings):
        sys.exit(f"review_folds: settings are name=value, not {' '.join(args.settings)}")
    if of_both := [
        word for word in args.settings if word.split("=")[0].removeprefix("data.").split(".")[0] in SPLITTING
    ]:
        sys.exit(f"review_folds: {of_both[0]} would give the peer other texts than ours; leave it out")
    with tempfile.TemporaryDirectory() as folder:
        if args.limit is not None and args.fold_by == "number":
            sys.exit("review_folds: --limit makes a file without Pang & Lee's numbers; leave out --fold_by number")
        compare(args, args.path if args.limit is None else few(args.path, args.limit, Path(folder)))


if __name__ == "__main__":
    main()
