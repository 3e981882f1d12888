"""Bit parity: at each step, is the number of ones so far even (0) or odd (1)?

The smallest task that needs one bit of memory. Transformers of fixed depth do not learn to solve it at lengths beyond
those of training (Hahn 2020; Delétang et al., ICLR 2023).
"""

from datamodules.bits import Density, GivenBits, RandomBits
from datamodules.generated_strings import GeneratedStringsDataModule
from seqlight.core.hyperparameters import check_choice


class ParityDataModule(GeneratedStringsDataModule):
    """Random bit strings of varied length with their running parity, generated batch by batch.

    Training strings never repeat; validation and test strings are the same in every run.

    Args:
        batch_size: Strings in a batch of one process.
        min_length: Shortest length in training and validation, at least 1.
        max_length: Longest length in training and validation.
        train_size: Strings in an epoch of training.
        val_size: Strings in the validation set.
        test_min_length: Shortest length in the test set.
        test_max_length: Longest length in the test set.
        test_size: Strings in the test set.
        density: Probability of a one in the training strings: "half", or "any", drawn for each string between 0 and 1,
            which makes long runs of equal bits frequent. Validation and test strings always have half.
        bits: Strings of 0 and 1 for ``predict``. Default: five short examples.
        num_workers: Processes that prepare batches; 0 prepares them in the training process.
        seed: Seed of the training strings. Default: the run's seed (``--seed_everything``).

    Raises:
        UserError: A value is out of its range.
    """

    def __init__(
        self,
        batch_size: int = 128,
        min_length: int = 1,
        max_length: int = 40,
        train_size: int = 12_800,
        val_size: int = 1_024,
        test_min_length: int = 41,
        test_max_length: int = 500,
        test_size: int = 2_048,
        density: Density = "half",
        bits: list[str] | None = None,
        num_workers: int = 0,
        seed: int | None = None,
    ) -> None:
        super().__init__(
            batch_size, min_length, max_length, train_size, val_size, test_min_length, test_max_length, test_size,
            num_workers, seed,
        )  # fmt: skip
        self.save_hyperparameters()
        check_choice("density", density, Density)
        self.train_set.density = density
        self.predict_set = GivenBits(bits if bits is not None else ["0", "1", "11", "10110", "1" * 41])

    def make(self, size: int, min_length: int, max_length: int, seed: int) -> RandomBits:
        """See GeneratedStringsDataModule."""
        return RandomBits(size, min_length, max_length, seed)
