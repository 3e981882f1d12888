"""One table of embeddings in several places of an encoder-decoder.

V vocabulary, D width.
"""

from typing import Literal

from torch import nn

from seqlight.core.errors import UserError

Shared = Literal["none", "decoder", "all"]


def share_embeddings(shared: Shared, source: nn.Embedding, target: nn.Embedding, head: nn.Linear) -> None:
    """Makes tables one, in place.

    Args:
        shared: "decoder" uses the target's embedding as the head's weights (Press & Wolf 2017); "all" one table for
            source, target and head (Vaswani et al. 2017); "none" leaves three.
        source: The source's embedding.
        target: The target's, (V, D).
        head: The head, D to V.

    Raises:
        UserError: The vocabularies are to share a table and differ in size.
    """
    if shared == "none":
        return
    head.weight = target.weight
    if shared == "all":
        if source.num_embeddings != target.num_embeddings:
            raise UserError(
                f"net.share_embeddings all needs one vocabulary for both sides, not {source.num_embeddings} source "
                f"and {target.num_embeddings} target tokens; use decoder"
            )
        source.weight = target.weight
