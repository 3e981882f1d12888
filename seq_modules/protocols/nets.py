"""What the callbacks need of a net, or of a system for its net.

B batch, T time, V vocabulary, D width, L layers, H heads, C classes.
"""

from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn


def net_of(module: nn.Module) -> nn.Module | None:
    """The ``net`` of a system; None where it has none."""
    net = getattr(module, "net", None)
    return net if isinstance(net, nn.Module) else None


@runtime_checkable
class HasAttentionMaps(Protocol):
    """A net with self-attention."""

    def window(self, ids: list[int]) -> list[int]:
        """The part of a sequence of ids that the net reads."""
        ...

    def attention_maps(self, input_ids: Tensor) -> Tensor | None:
        """Attention weights (B, L, H, T, T) of ids (B, T), each row with the sum 1.

        None where there is no attention after all, as in an ensemble of recurrent nets.
        """
        ...


@runtime_checkable
class HasCrossAttention(Protocol):
    """A net that reads a source and a target (generation/seq2seq.py)."""

    def cross_attention(self, source_ids: Tensor, source_mask: Tensor, target_ids: Tensor) -> Tensor | None:
        """Attention weights (B, L, H, T, S) of target positions on the source, each row with the sum 1.

        None for a net without attention. A recurrent net has L = H = 1.

        Args:
            source_ids: (B, S), padded on the right.
            source_mask: (B, S), true at the tokens.
            target_ids: (B, T), from bos on; row t of the weights is of the token after ``target_ids[:, t]``.
        """
        ...


@runtime_checkable
class HasPairAttention(Protocol):
    """A net with attention in the encoder, in the decoder, and from one to the other."""

    def attention_maps(self, source_ids: Tensor, source_mask: Tensor, target_ids: Tensor) -> dict[str, Tensor]:
        """Weights of all attention, each as ``cross_attention``'s.

        Returns:
            "encoder" (B, L, H, S, S), "decoder" (B, L, H, T, T) and "cross" (B, L, H, T, S).
        """
        ...


@runtime_checkable
class HasTextAttention(Protocol):
    """A system that may read a whole text with self-attention, such as a classifier with a Transformer."""

    def text_attention(self, input_ids: Tensor, mask: Tensor) -> Tensor | None:
        """Attention weights (B, L, H, T, T), each row with the sum 1; None where there is no self-attention.

        Args:
            input_ids: (B, T), padded on the right.
            mask: (B, T), true at the tokens.
        """
        ...


@runtime_checkable
class HasNgrams(Protocol):
    """A linear classifier of n-grams."""

    tokenizer: Any
    num_classes: int

    def name_of(self, label: int) -> str:
        """The name of a class, its number where it has no name."""
        ...

    def heaviest_ngrams(self, label: int, count: int) -> list[tuple[str, float]]:
        """The n-grams that speak most for a class, the strongest first, with what they add to its log-odds."""
        ...


@runtime_checkable
class HasTokenVectors(Protocol):
    """A net with a vector for each token."""

    def token_vectors(self) -> Tensor:
        """Embeddings of all tokens, (V, D)."""
        ...


@runtime_checkable
class HasTokenWeights(Protocol):
    """A net that may pool its states by additive attention."""

    def token_weights(self, input_ids: Tensor, mask: Tensor) -> Tensor | None:
        """Weights of the pooling, (B, T), each row with the sum 1; None with another kind of pooling.

        Args:
            input_ids: (B, T), padded on the right.
            mask: (B, T), true at the tokens.
        """
        ...
