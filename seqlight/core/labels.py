"""Labels and token ids that have a meaning of their own."""

from collections.abc import Sequence

IGNORED = -100  # a label that no loss and no metric counts: padding, context

# Ids of the tokenizers of pairs (sequence to sequence), in the source and in the target.
PAD, UNK, BOS, EOS = 0, 1, 2, 3  # padding, unknown, beginning of sequence, end of sequence
SPECIAL_TOKENS = ("<pad>", "<unk>", "<s>", "</s>")  # their names, in the order of the ids


def first_of(names: Sequence[str] | None) -> str:
    """The first six names, for messages."""
    names = list(names or [])
    return ", ".join(map(str, names[:6])) + (" ..." if len(names) > 6 else "")
