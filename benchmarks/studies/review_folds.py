"""Ten-fold accuracy on Pang & Lee's reviews beside linear classifiers of scikit-learn, fold by fold.

    python benchmarks/studies/review_folds.py ../shared/data/movie-reviews/movie_reviews.zip --fold_by number
    python benchmarks/studies/review_folds.py ../shared/data/movie-reviews/sentence_polarity.zip

All read the same texts of a fold, as ReviewsDataModule makes them: 2,000 long reviews, whose folds Pang & Lee gave by
their numbers (--fold_by number), or 10,662 sentences, in stratified folds. Ours is a recipe, trained and tested by
`seqlight fit` and `seqlight test` in this process, into runs/sweeps/review_folds; its best checkpoint is chosen on the
fold's validation split. There are two peers, of words and pairs of words: TF-IDF with logistic regression, and Wang &
Manning's NBSVM (2012), binary features scaled by their log-count ratio, a linear support vector machine, and their
interpolation. The strength of their regularisation is chosen on the same validation split, and they are then fitted
anew on training and validation together, which is to their advantage, unless data.split.val_fraction leaves ours nearly
all of it too. The table has each fold's accuracy, and the CPU time of all that gave it; below stand the means, their
spread over folds, and the mean differences with their standard errors.
Settings of the recipe follow it, such as: --recipe reviews/lstm data.tokens.max_seq_len=400 trainer.max_epochs=4.
With --average_with "reviews/cnn trainer.max_epochs=4", which may be given several times, those recipes are trained
too. The last columns are then the accuracy of the mean of all the recipes' probabilities, and of the mean of their
log-odds, each recipe's divided by their standard deviation over the tested texts (which takes no labels): of two models
of which one is surer than its errors warrant, the first mean nearly always follows that one.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from lightning.pytorch import Trainer

from datamodules import ReviewsDataModule
from datamodules.classification.examples import Examples
from datamodules.classification.reviews import ReviewSplit
from seqlight.sweep import Sweep, train
from seqlight.web.trained import Trained

FOLDS = 10
# Arguments of the data that decide which texts are tested.
SPLITTING = {"path", "test_path", "text", "classes", "split"}
# How a recipe's probabilities (N, 2) are made into numbers whose mean is above 0 for the second class.
AVERAGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean of their probabilities": lambda probabilities: probabilities[:, 1] - 0.5,
    "mean of their scaled log-odds": lambda probabilities: scaled_log_odds(probabilities),
}
SMALLEST = 1e-6  # predictions are rounded to it
VALIDATION = "data.split.val_fraction"  # of ours alone, within the texts that are not tested
INTERPOLATION = 0.25  # Wang & Manning's β
WORDS = r"[^\W_]+(?:'[a-z]+)?|[^\w\s]"  # words and punctuation marks
# A peer's fit with a strength, the inverse of the regularisation's; then the classes of texts.
Fit = Callable[[float], Callable[[Sequence[str]], np.ndarray]]


def joined(first: Examples, second: Examples) -> Examples:
    """The rows of both."""
    return Examples.of([*first.texts, *second.texts], np.concatenate([first.labels, second.labels]).tolist())


def tfidf(rows: Examples) -> Fit:
    """TF-IDF of words and pairs of words with logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    x = words.fit_transform(rows.texts)

    def fit(strength: float) -> Callable[[Sequence[str]], np.ndarray]:
        model = LogisticRegression(C=strength, max_iter=1000).fit(x, rows.labels)
        return lambda texts: model.predict(words.transform(texts))

    return fit


def nbsvm(rows: Examples) -> Fit:
    """NBSVM of words and pairs of words, for two classes (Wang & Manning 2012, equations 4 to 6, α = 1)."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.svm import LinearSVC

    words = CountVectorizer(ngram_range=(1, 2), binary=True, token_pattern=WORDS)
    x = words.fit_transform(rows.texts)
    q, p = (1 + np.asarray(x[rows.labels == label].sum(0)).ravel() for label in (0, 1))
    ratio = np.log((p / p.sum()) / (q / q.sum()))
    scaled = x.multiply(ratio).tocsr()

    def fit(strength: float) -> Callable[[Sequence[str]], np.ndarray]:
        svm = LinearSVC(C=strength, random_state=0).fit(scaled, rows.labels)
        weights = svm.coef_.ravel()
        weights = (1 - INTERPOLATION) * np.abs(weights).mean() + INTERPOLATION * weights
        return lambda texts: (words.transform(texts) @ (ratio * weights) + svm.intercept_ > 0).astype(int)

    return fit


PEERS: dict[str, tuple[Callable[[Examples], Fit], Sequence[float]]] = {
    "TF-IDF, logistic regression": (tfidf, (1.0, 3.0, 10.0, 30.0, 100.0)),
    "NBSVM": (nbsvm, (0.001, 0.01, 0.1, 1.0)),
}


def tested(peer: Callable[[Examples], Fit], strengths: Sequence[float], splits: dict[str, Examples]) -> float:
    """Accuracy of a peer on the test rows; validation chooses its strength, then it is fitted on those rows too."""

    def accuracy(predict: Callable[[Sequence[str]], np.ndarray], rows: Examples) -> float:
        return float((predict(rows.texts) == rows.labels).mean())

    fit = peer(splits["train"])
    scores = {strength: accuracy(fit(strength), splits["val"]) for strength in strengths}
    best = max(strengths, key=scores.__getitem__)
    return accuracy(peer(joined(splits["train"], splits["val"]))(best), splits["test"])


def few(path: str, rows: int, folder: Path) -> str:
    """A file of the first reviews of each class, `rows` in all, to try things."""
    data = ReviewsDataModule(path=path)
    names = data.class_names
    kept = [r for name in names for r in [x for x in data.reviews if x.label == name][: rows // len(names)]]
    file = folder / f"{rows}_reviews.jsonl"
    file.write_text("".join(json.dumps({"text": r.text, "label": r.label}) + "\n" for r in kept), encoding="utf-8")
    return str(file)


def recipe_on_folds(words: Sequence[str], args: argparse.Namespace, path: str) -> Sweep:
    """A recipe of ours on the folds.

    Args:
        words: Its name, then its settings as name=value.
        args: The program's arguments.
        path: The texts.
    """
    of_data = {"path": path, "split.fold_by": args.fold_by, "split.folds": FOLDS}
    settings = dict(word.split("=", 1) for word in words[1:])
    sweep = Sweep(
        name="review_folds",
        config=[words[0]],
        metric="test/accuracy",
        grid={"data.split.fold": list(range(1, FOLDS + 1))},
        set={**{f"data.{name}": value for name, value in of_data.items()}, "seed_everything": args.seed, **settings},
    )
    sweep.folder.mkdir(parents=True, exist_ok=True)
    return sweep


def probabilities(folder: Path, texts: Sequence[str]) -> np.ndarray:
    """Probabilities of the classes (N, C) that a run's best checkpoint gives to texts."""
    trained = Trained(folder / "checkpoints" / "best.ckpt")
    batches = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False).predict(
        trained.module, trained.data(predict={"texts": list(texts)})
    )
    found = {row["index"]: list(row["probabilities"].values()) for row in chain.from_iterable(batches or [])}
    return np.array([found[index] for index in range(len(texts))])


def scaled_log_odds(probabilities: np.ndarray) -> np.ndarray:
    """Log-odds (N,) of the second of two classes, in units of their standard deviation."""
    log_odds = np.log(probabilities[:, 1].clip(min=SMALLEST)) - np.log(probabilities[:, 0].clip(min=SMALLEST))
    return log_odds / log_odds.std()


def compare(args: argparse.Namespace, path: str) -> None:
    """Fits all on each fold and prints the table."""
    recipes = {
        words[0]: recipe_on_folds(words, args, path) for words in ([args.recipe, *args.settings], *args.average_with)
    }
    print(f"{args.recipe} {' '.join(args.settings)}, seed {args.seed}; {args.path}, folds {args.fold_by}")
    print("".join(f"with {' '.join(words)}\n" for words in args.average_with))
    columns = [*PEERS, *recipes, *(AVERAGES if args.average_with else [])]
    print(f"| fold | rows | {' | CPU s | '.join(columns)} | CPU s |\n|{'---:|' * (2 + 2 * len(columns))}")
    results: dict[str, list[float]] = {name: [] for name in columns}
    for fold in range(1, args.folds + 1):
        splits = ReviewsDataModule(path, split=ReviewSplit(fold=fold, folds=FOLDS, fold_by=args.fold_by)).as_read
        test, predicted = splits["test"], list[np.ndarray]()
        cells = [str(fold), str(len(test))]
        for name in columns:
            started = time.process_time()
            if name in PEERS:
                accuracy = tested(*PEERS[name], splits)
            elif name in AVERAGES:
                mean = np.mean([AVERAGES[name](rows) for rows in predicted], axis=0)
                accuracy = float(((mean > 0) == test.labels).mean())
            else:
                metrics, folder = train(recipes[name], {"data.split.fold": fold})
                accuracy = metrics[recipes[name].metric]
                if args.average_with:
                    predicted.append(probabilities(folder, test.texts))
            results[name].append(accuracy)
            cells += [f"{accuracy:.4f}", f"{time.process_time() - started:.0f}"]
        print(f"| {' | '.join(cells)} |", flush=True)
    print()
    for name, values in results.items():
        print(f"{name}: {told(values)}")
    *others, last = columns
    for name in others:
        differences = [b - a for a, b in zip(results[name], results[last], strict=True)]
        error = statistics.stdev(differences) / len(differences) ** 0.5 if args.folds > 1 else 0.0
        print(f"{last} more than {name} by {statistics.mean(differences):+.4f}, standard error {error:.4f}")


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
    parser.add_argument("--average_with", action="append", default=[], type=str.split, help="a recipe and its settings")
    parser.add_argument("--fold_by", choices=["stratified", "number"], default="stratified")
    parser.add_argument("--folds", type=int, default=FOLDS, choices=range(1, FOLDS + 1), help="how many of the ten")
    parser.add_argument("--seed", type=int, default=0, help="of the recipe's training")
    parser.add_argument("--limit", type=int, help="of the texts, to try things")
    args = parser.parse_intermixed_args()  # settings may stand behind options
    try:
        import sklearn  # noqa: F401
    except ImportError:
        sys.exit("review_folds: the peers are scikit-learn's, which is not here; pip install scikit-learn")
    if len({args.recipe, *(words[0] for words in args.average_with)}) <= len(args.average_with):
        sys.exit("review_folds: --average_with names a recipe that is there already; give another")
    settings = [*args.settings, *(word for words in args.average_with for word in words[1:])]
    if any("=" not in word for word in settings):
        sys.exit(f"review_folds: settings are name=value, not {' '.join(settings)}")
    names = [word.split("=")[0] for word in settings]
    if of_both := [
        name for name in names if name.removeprefix("data.").split(".")[0] in SPLITTING and name != VALIDATION
    ]:
        sys.exit(f"review_folds: {of_both[0]} would give the peers other texts than ours; leave it out")
    with tempfile.TemporaryDirectory() as folder:
        if args.limit is not None and args.fold_by == "number":
            sys.exit("review_folds: --limit makes a file without Pang & Lee's numbers; leave out --fold_by number")
        compare(args, args.path if args.limit is None else few(args.path, args.limit, Path(folder)))


if __name__ == "__main__":
    main()
