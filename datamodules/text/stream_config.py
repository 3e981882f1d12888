"""Options of a stream of documents: how it is read, and what of it is held out."""

from dataclasses import dataclass

from seqlight.core.hyperparameters import check_range, refuse_both


@dataclass(frozen=True)
class StreamConfig:
    """How the documents are read for training.

    Attributes:
        num_streams: Streams that the documents are divided into, which are read side by side; a multiple of the number
            of processes (ranks), and at least the number of all workers. The order of the windows depends on it, and
            neither on the ranks nor on the workers.
        shuffle_buffer: Windows of a stream that are shuffled together.
        epoch_size: Windows in an epoch, after which the model is validated. The stream goes on from epoch to epoch, and
            begins again after its last document.
        tokenizer_characters: Characters at the beginning of the training documents that the tokenizer learns from.

    Raises:
        UserError: A value is out of its range.
    """

    num_streams: int = 4
    shuffle_buffer: int = 1024
    epoch_size: int = 32768
    tokenizer_characters: int = 20_000_000

    def __post_init__(self) -> None:
        for name in ("num_streams", "shuffle_buffer", "epoch_size", "tokenizer_characters"):
            check_range(f"stream.{name}", getattr(self, name), least=1)


@dataclass(frozen=True)
class HeldOutConfig:
    """What the model is validated and tested on.

    Attributes:
        path: Files for validation, of which all documents are used.
        split: Split of the data set of the hub for validation. With neither, a fraction of the documents is held out.
        fraction: Fraction of the documents that is held out for validation. The text of a document decides, so copies
            of a document are on the same side.
        test_path: Files for the test.
        test_split: Split of the data set of the hub for the test. With neither, the test uses what validation uses.
        windows: Windows at most, from the first such document on.

    Raises:
        UserError: A value is out of its range, or two exclude each other.
    """

    path: str | list[str] | None = None
    split: str | None = None
    fraction: float = 0.01
    test_path: str | list[str] | None = None
    test_split: str | None = None
    windows: int = 1000

    def __post_init__(self) -> None:
        check_range("held_out.fraction", self.fraction, above=0, below=1)
        check_range("held_out.windows", self.windows, least=1)
        for test in ("", "test_"):
            path, split = f"{test}path", f"{test}split"
            refuse_both(f"held_out.{path}", getattr(self, path), f"held_out.{split}", getattr(self, split))
