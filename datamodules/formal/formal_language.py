"""Formal languages: strings that a machine of a few states can judge, and two that it cannot."""

from datamodules.formal.strings import GivenStrings, RandomStrings
from datamodules.formal.tasks import TASKS, Task
from datamodules.generated_strings import GeneratedStringsDataModule
from seqlight.core.hyperparameters import check_choice


class FormalLanguageDataModule(GeneratedStringsDataModule):
    """Random strings of a formal task with its answers, generated batch by batch (Delétang et al. 2023).

    Training strings never repeat; validation and test strings are the same in every run.

    Args:
        task: What is asked. After each symbol: "parity", is the number of ones odd; "even_pairs", is the number of 01
            and 10 odd; "cycle_navigation", the place on a cycle of five after steps -, 0 and +; "count_modulo_3", the
            number of ones modulo 3; "recall", which of four symbols was the first; after each number:
            "modular_arithmetic", the value modulo 5 of numbers joined by +, - and *. After the string, at as many
            blanks: "bucket_sort", its five symbols sorted; "reverse", its bits in reverse.
        batch_size: Strings in a batch of one process.
        min_length: Shortest length in training and validation, at least 1.
        max_length: Longest length in training and validation.
        train_size: Strings in an epoch of training.
        val_size: Strings in the validation set.
        test_min_length: Shortest length in the test set.
        test_max_length: Longest length in the test set.
        test_size: Strings in the test set.
        strings: Strings of the task for ``predict``, such as ["1+2*3"]. Default: a few short examples.
        num_workers: Processes that prepare batches; 0 prepares them in the training process.
        seed: Seed of the training strings. Default: the run's seed (``--seed_everything``).

    Attributes:
        vocab_size: Symbols that a net reads.
        num_classes: Classes of the answers.

    Raises:
        UserError: A value is out of its range.
    """

    def __init__(
        self,
        task: Task = "even_pairs",
        batch_size: int = 128,
        min_length: int = 1,
        max_length: int = 40,
        train_size: int = 12_800,
        val_size: int = 1_024,
        test_min_length: int = 41,
        test_max_length: int = 500,
        test_size: int = 2_048,
        strings: list[str] | None = None,
        num_workers: int = 0,
        seed: int | None = None,
    ) -> None:
        check_choice("task", task, Task)
        self.task = TASKS[task]
        super().__init__(
            batch_size, min_length, max_length, train_size, val_size, test_min_length, test_max_length, test_size,
            num_workers, seed,
        )  # fmt: skip
        self.save_hyperparameters()
        self.predict_set = GivenStrings(self.task, self.task.examples if strings is None else strings)

    @property
    def vocab_size(self) -> int:
        """Symbols that a net reads."""
        return self.task.vocab_size

    @property
    def num_classes(self) -> int:
        """Classes of the answers."""
        return self.task.num_classes

    def make(self, size: int, min_length: int, max_length: int, seed: int) -> RandomStrings:
        """See GeneratedStringsDataModule."""
        return RandomStrings(self.task, size, min_length, max_length, seed)
