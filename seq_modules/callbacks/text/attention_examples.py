"""Sentences with the attention of a net that reads them, and the base of the callbacks that show them.

L layers, H heads, Q queries, K keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from seq_modules.generation.decode import evaluating
from seq_modules.protocols.nets import (
    HasAttentionMaps,
    HasCrossAttention,
    HasPairAttention,
    HasTextAttention,
    HasTokenWeights,
    net_of,
)
from seq_modules.protocols.systems import Translates
from seqlight.core.hyperparameters import check_range
from seqlight.core.labels import BOS, EOS

SENTENCE = "The value of the expression is returned."  # for a system whose data have no sources


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


class AttentionCallback(Callback):
    """Base of the callbacks that show the attention of a few sentences, after ``test`` and, if wanted, ``predict``.

    Args:
        sentences: The sentences, of which empty ones are left out; by default the first sources of the data. Of several
            processes, the first draws, and has only its own part of the data.
        count: How many of the data's, at least 1.
        predict: Show them after ``predict`` too.
        max_tokens: Most tokens of a sentence that are shown, at least 2.
    """

    whole_weights = True  # not with weights that are divided among processes (seq_modules/training/sharding.py)

    def __init__(self, sentences: list[str] | None, count: int, predict: bool, max_tokens: int) -> None:
        check_range("count", count, least=1)
        check_range("max_tokens", max_tokens, least=2)
        self.sentences, self.count, self.predict, self.max_tokens = sentences, count, predict, max_tokens
        self._found: dict[int, str] = {}

    def show(self, trainer: Trainer, pl_module: LightningModule, texts: list[str]) -> None:
        """Called on rank 0 with the sentences, of which there may be none."""
        raise NotImplementedError

    @property
    def texts(self) -> list[str]:
        """The sentences, those of the data in their order there."""
        given = self.sentences
        return list(self._found.values()) if given is None else [text for text in given if text.strip()]

    def _forget(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._found = {}

    def _keep(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if isinstance(batch, dict) and "sources" in batch:  # batches come in any order of their rows
            rows = zip(batch["index"].tolist(), batch["sources"], strict=True)
            found = self._found | {index: source for index, source in rows if source.strip()}
            self._found = {index: found[index] for index in sorted(found)[: self.count]}

    on_test_start = on_predict_start = _forget
    on_test_batch_end = on_predict_batch_end = _keep

    @rank_zero_only
    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Shows the sentences."""
        self.show(trainer, pl_module, self.texts)

    @rank_zero_only
    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Shows the sentences, if that was chosen."""
        if self.predict:
            self.show(trainer, pl_module, self.texts)


@torch.inference_mode()
def attention_examples(module: Any, texts: Sequence[str], max_tokens: int) -> list[AttentionExample]:
    """The attention of a system in each text.

    A system of sequence to sequence translates the text with its own ``decoding``, and the attention is that of the
    best hypothesis. A language model reads the text. Of a classifier, the self-attention of its own Transformer and the
    pooling's attention are taken, as far as it has them; a pretrained encoder's self-attention is not looked at.

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
    net, tokenizer = net_of(module), module.tokenizer
    ids = tokenizer.encode(text)
    of_classifier = isinstance(module, HasTokenWeights | HasTextAttention)
    if not of_classifier and isinstance(net, HasAttentionMaps):
        ids = net.window(ids)
    if not ids:
        return []
    inputs = torch.tensor([ids], device=module.device)
    mask = torch.ones_like(inputs, dtype=torch.bool)
    found: dict[str, Tensor | None] = {}
    if not of_classifier and isinstance(net, HasAttentionMaps):
        found["self"] = net.attention_maps(inputs)
    if isinstance(module, HasTextAttention):
        found["self"] = module.text_attention(inputs, mask)
    if isinstance(module, HasTokenWeights) and (weights := module.token_weights(inputs, mask)) is not None:
        found["pooling"] = weights[:, None, None, None]  # (1, T) -> (1, 1, 1, 1, T)
    parts, labels = [], tokenizer.pieces(ids)
    for name, maps in found.items():
        if maps is None:
            continue
        keys = labels + ["·"] * (maps.shape[-1] - len(labels))  # windows of a convolution that end after the text
        queries = keys if name == "self" else ["(whole text)"]
        parts.append(AttentionPart(name, queries, keys, maps[0].float().cpu()))
    return parts
