"""The tokenizer of a system: taken from the data, kept in the checkpoint, never another one under the same weights.

Of a tokenizer these functions need ``fingerprint`` and ``state()``, plain data from which datamodules.tokenizers makes
it again.
"""

from typing import Any

from seqlight.core.errors import UserError


def take_tokenizer(module: Any) -> None:
    """Assigns the data's tokenizer to the module, if the data has one.

    Raises:
        UserError: The data's windows are longer than the net's context.
    """
    data = getattr(module.trainer, "datamodule", None)
    module.tokenizer = getattr(data, "tokenizer", module.tokenizer)
    seq_len, longest = getattr(data, "seq_len", 0), getattr(getattr(module, "net", None), "max_seq_len", None)
    if longest is not None and seq_len > longest:
        raise UserError(
            f"data.seq_len {seq_len} is longer than max_seq_len {longest} of the model's net; make one of them the "
            "other's size"
        )


def required_tokenizer(module: Any) -> Any:
    """The module's tokenizer.

    Raises:
        UserError: There is none.
    """
    if module.tokenizer is None:
        raise UserError("tokenizer is missing: load the model with seqlight.load, or assign module.tokenizer")
    return module.tokenizer


def check_tokenizer(module: Any, checkpoint: dict[str, Any]) -> None:
    """Refuses data whose tokenizer is not the one that the checkpoint's weights were trained with.

    Raises:
        UserError: The fingerprints differ.
    """
    held = checkpoint.get("tokenizer_fingerprint")
    if module.tokenizer is not None and held is not None and held != module.tokenizer.fingerprint:
        raise UserError(
            f"the checkpoint's tokenizer ({held}) is not the data's ({module.tokenizer.fingerprint}); leave out "
            f"{module.tokenizer_flags}, and the checkpoint's is used"
        )


def save_tokenizer(module: Any, checkpoint: dict[str, Any]) -> None:
    """Puts the tokenizer in the checkpoint, which alone can then read and write the data."""
    if module.tokenizer is not None:
        checkpoint["tokenizer"] = module.tokenizer.state()
        checkpoint["tokenizer_fingerprint"] = module.tokenizer.fingerprint
