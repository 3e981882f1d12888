"""Sentences with the attention of a net that reads them, for pictures.

L layers, H heads, Q queries, K keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seq_modules.generation.decode import evaluating
from seq_modules.protocols import (
    HasAttentionMaps,
    HasCrossAttention,
    HasPairAttention,
    HasTokenWeights,
    Translates,
    net_of,
)
from seqlight.core.labels import BOS, EOS


@dataclass(frozen=True)
class AttentionPart:
    """One kind of attention in a sentence.

    Attributes:
        name: "cross", "encoder", "decoder", "self" or "pooling".
        queries: Labels of the positions that look, Q of them.
        keys: Labels of the positions that are looked at, K of them.
        weights: (L, H, Q, K), each row with the sum 1, float32 on the CPU.
    """

    name: str
    queries: list[str]
    keys: list[str]
    weights: Tensor


@dataclass(frozen=True)
class AttentionExample:
    """A sentence, what the model made of it if that is a text, and its attention."""

    text: str
    output: str | None
    parts: list[AttentionPart]


class FirstSources:
    """The sentences to be drawn, without empty ones: given ones, or the first of the data, whatever the batches' order.

    Args:
        texts: The given ones; None takes the data's.
        count: How many of the data's. Of several processes, each has the first of its own.
    """

    def __init__(self, texts: list[str] | None, count: int) -> None:
        self.given, self.count = texts, count
        self._found: dict[int, str] = {}

    def clear(self) -> None:
        """Forgets earlier batches."""
        self._found = {}

    def add(self, batch: Any) -> None:
        """Takes the sources of a batch of pairs."""
        if self.given is None and isinstance(batch, dict) and "sources" in batch:
            rows = zip(batch["index"].tolist(), batch["sources"], strict=True)
            found = self._found | {index: source for index, source in rows if source.strip()}
            self._found = {index: found[index] for index in sorted(found)[: self.count]}

    @property
    def texts(self) -> list[str]:
        """The sentences."""
        return list(self._found.values()) if self.given is None else [text for text in self.given if text.strip()]


@torch.inference_mode()
def attention_examples(module: Any, texts: Sequence[str], max_tokens: int) -> list[AttentionExample]:
    """The attention of a system in each text.

    A system of sequence to sequence translates the text with its own ``decoding``, and the attention is that of the
    best hypothesis. A language model reads the text; of a classifier, the pooling's attention is taken.

    Args:
        module: The system. It is in evaluation mode meanwhile.
        texts: Sentences, none of them empty.
        max_tokens: Most tokens of a sentence, and of its translation, that are shown.

    Returns:
        Nothing, if the system has no tokenizer or no attention.
    """
    if getattr(module, "tokenizer", None) is None:
        return []
    with evaluating(module):
        if isinstance(net_of(module), HasCrossAttention) and isinstance(module, Translates):
            found = _of_translations(module, texts)
        else:
            found = [AttentionExample(text, None, _parts_of_text(module, text)) for text in texts]
    return [
        AttentionExample(example.text, example.output, [cut(part, max_tokens) for part in example.parts])
        for example in found
        if example.parts
    ]


def cut(part: AttentionPart, max_tokens: int) -> AttentionPart:
    """The first queries and keys of a part."""
    weights = part.weights[..., :max_tokens, :max_tokens]
    return AttentionPart(part.name, part.queries[:max_tokens], part.keys[:max_tokens], weights)


def _of_translations(module: Any, texts: Sequence[str]) -> list[AttentionExample]:
    source, target = module.tokenizer.source, module.tokenizer.target
    best = [hypotheses[0] for hypotheses in module.generate(texts)]
    found = []
    for text, hypothesis in zip(texts, best, strict=True):
        new = list(hypothesis.ids) or [EOS]
        read, written = [*source.encode(text), EOS], [BOS, *new[:-1]]
        keys, queries = source.tokens(read), target.tokens(new)
        axes = {"cross": (queries, keys), "encoder": (keys, keys), "decoder": (target.tokens(written),) * 2}
        source_ids, target_ids = (torch.tensor([ids], device=module.device) for ids in (read, written))
        maps = _pair_maps(net_of(module), source_ids, target_ids)
        parts = [AttentionPart(name, *axes[name], maps[name][0].float().cpu()) for name in axes if name in maps]
        found.append(AttentionExample(text, hypothesis.text, parts))
    return found


def _pair_maps(net: Any, source_ids: Tensor, target_ids: Tensor) -> dict[str, Tensor]:
    inputs = source_ids, torch.ones_like(source_ids, dtype=torch.bool), target_ids
    if isinstance(net, HasPairAttention):
        return net.attention_maps(*inputs)
    weights = net.cross_attention(*inputs)
    return {} if weights is None else {"cross": weights}


def _parts_of_text(module: Any, text: str) -> list[AttentionPart]:
    net, tokenizer, device = net_of(module), module.tokenizer, module.device
    ids = tokenizer.encode(text)
    if isinstance(net, HasAttentionMaps):
        ids = net.window(ids)
        maps = net.attention_maps(torch.tensor([ids], device=device)) if ids else None
        name, weights = "self", None if maps is None else maps[0]  # (L, H, T, T)
    elif isinstance(module, HasTokenWeights):
        inputs = torch.tensor([ids], device=device)
        of_tokens = module.token_weights(inputs, torch.ones_like(inputs, dtype=torch.bool)) if ids else None
        name, weights = "pooling", None if of_tokens is None else of_tokens[None, None]  # (1, 1, 1, T)
    else:
        return []
    if weights is None:
        return []
    keys = tokenizer.pieces(ids)
    keys += ["·"] * (weights.shape[-1] - len(keys))  # windows of a convolution that end after the text
    queries = keys if name == "self" else ["(whole text)"]
    return [AttentionPart(name, queries, keys, weights.float().cpu())]
