"""What every tokenizer, of text or of notes, has in common: plain data that it can be made of again."""

import hashlib
import json
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any


class Stateful(ABC):
    """Something whose state travels in the checkpoint.

    Attributes:
        kind: Which tokenizer it is, as in its state.
        vocab_size: Number of ids.
    """

    kind: str
    vocab_size: int

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Plain data (strings, numbers and bytes) that :func:`from_state` makes the same tokenizer of."""

    @cached_property
    def fingerprint(self) -> str:
        """12 hex digits that differ where two tokenizers do."""
        plain = json.dumps(self.state(), sort_keys=True, default=lambda data: hashlib.sha256(data).hexdigest())
        return hashlib.sha256(plain.encode()).hexdigest()[:12]
