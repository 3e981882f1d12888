"""Systems whose data come through a tokenizer: it is taken from the data and stays in the checkpoint."""

from typing import Any

from seq_modules.base import SequenceModule
from seqlight.core.errors import UserError


class TokenizedModule(SequenceModule):
    """Base of the systems that read tokens.

    The tokenizer comes with the data (its ``tokenizer`` attribute), travels in the checkpoint, and may not change under
    weights that were trained with it. This class uses its ``fingerprint`` and its ``state()``, plain data from which
    datamodules.tokenizers makes it again.

    Attributes:
        tokenizer: The tokenizer; None until data or a checkpoint bring it.
    """

    tokenizer: Any = None
    tokenizer_flags = "--data.tokenizer, --data.vocab_size and --data.tokenizer_path"  # options that make another one

    def setup(self, stage: str) -> None:
        """Takes the tokenizer of the data.

        Raises:
            UserError: The data's windows are longer than the net's context.
        """
        data = getattr(self.trainer, "datamodule", None)
        self.tokenizer = getattr(data, "tokenizer", self.tokenizer)
        seq_len, longest = getattr(data, "seq_len", 0), getattr(getattr(self, "net", None), "max_seq_len", None)
        if longest is not None and seq_len > longest:
            raise UserError(
                f"data.seq_len {seq_len} is longer than model.net.max_seq_len {longest}; lower the one or raise the "
                "other"
            )

    def required_tokenizer(self) -> Any:
        """The tokenizer.

        Raises:
            UserError: There is none.
        """
        if self.tokenizer is None:
            raise UserError("tokenizer is missing: load the model with seqlight.load, or assign module.tokenizer")
        return self.tokenizer

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuses data whose tokenizer is not the one that the weights were trained with."""
        super().on_load_checkpoint(checkpoint)
        held = checkpoint.get("tokenizer_fingerprint")
        if self.tokenizer is not None and held is not None and held != self.tokenizer.fingerprint:
            raise UserError(
                f"the checkpoint's tokenizer ({held}) is not the data's ({self.tokenizer.fingerprint}); leave out "
                f"{self.tokenizer_flags}, and the checkpoint's is used"
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Puts the tokenizer in the checkpoint, so that it alone can read and write the data."""
        super().on_save_checkpoint(checkpoint)
        if self.tokenizer is not None:
            checkpoint["tokenizer"] = self.tokenizer.state()
            checkpoint["tokenizer_fingerprint"] = self.tokenizer.fingerprint
