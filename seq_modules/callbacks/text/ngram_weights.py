"""The n-grams that speak most for each class."""

import csv

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only

from seq_modules.callbacks.run.run_folder import run_folder
from seq_modules.protocols.nets import HasNgrams
from seqlight.core.hyperparameters import check_range

PRINTED = 8  # n-grams in a printed line


class NgramWeights(Callback):
    """After ``test``, prints the n-grams that speak most for each class, and writes more of them to ``ngrams.csv``.

    The table has for each class its n-grams, the strongest first, with what each adds to the log-odds of the class.
    Nothing is done for a system without n-grams.

    Args:
        count: N-grams of each class, at least 1.
    """

    whole_weights = True  # not with weights that are divided among processes (seq_modules/training/sharding.py)

    def __init__(self, count: int = 50) -> None:
        check_range("count", count, least=1)
        self.count = count

    @rank_zero_only
    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prints and writes."""
        if not isinstance(pl_module, HasNgrams) or pl_module.tokenizer is None:
            return
        with (run_folder(trainer) / "ngrams.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("class", "place", "ngram", "log_odds"))
            for label in range(pl_module.num_classes):
                name, ngrams = pl_module.name_of(label), pl_module.heaviest_ngrams(label, self.count)
                print(f"n-grams for {name}: {', '.join(ngram for ngram, _ in ngrams[:PRINTED])}")
                writer.writerows((name, place, *found) for place, found in enumerate(ngrams, start=1))
