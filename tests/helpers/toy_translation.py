"""Systems that translate by a rule and attend by a formula: what the callbacks of translation need."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader

from seq_modules.generation.decoding_config import Decoding
from seqlight.core.labels import BOS, EOS, SPECIAL_TOKENS

SOURCES = [
    "Ein Hund läuft .", "Zwei Hunde laufen im Schnee .", "Ein Mann .", "Ein Hund im Schnee .", "Zwei .",
    "Ein Mann läuft im Schnee .", "Schnee .",
]  # fmt: skip
REFERENCES = [
    "A dog runs .", "Two dogs run in the snow .", "A man .", "A dog in snow .", "Two .", "A man walks in the snow .",
    "Snow .",
]  # fmt: skip
ENGLISH = {
    "Ein": "A", "Hund": "dog", "läuft": "runs", ".": ".", "Zwei": "Two", "Hunde": "dogs", "laufen": "run",
    "im": "in the", "Schnee": "snow", "Mann": "man",
}  # fmt: skip


class Words:
    """One side of a pair of tokenizers."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.words = [*SPECIAL_TOKENS, *sorted({word for text in texts for word in text.split()})]

    def encode(self, text: str) -> list[int]:
        return [self.words.index(word) if word in self.words else 1 for word in text.split()]

    def tokens(self, ids: Sequence[int]) -> list[str]:
        return [self.words[i] for i in ids]


PAIR = SimpleNamespace(source=Words(SOURCES), target=Words([*ENGLISH.values(), *REFERENCES]))


def translated(source: str) -> str:
    return " ".join(ENGLISH.get(word, "?") for word in source.split())


class Attending(nn.Module):
    """Weights that depend on layer, head and positions alone."""

    def __init__(self, layers: int, heads: int) -> None:
        super().__init__()
        self.layers, self.heads = layers, heads

    def weights(self, queries: int, keys: int) -> Tensor:
        """(1, L, H, Q, K)."""
        generator = torch.Generator().manual_seed(1000 * queries + keys)
        scores = torch.randn(1, self.layers, self.heads, queries, keys, generator=generator)
        return (3 * scores).softmax(-1)

    def cross_attention(self, source_ids: Tensor, source_mask: Tensor, target_ids: Tensor) -> Tensor | None:
        assert source_mask.all()
        return self.weights(target_ids.shape[1], source_ids.shape[1]) if self.layers else None


class AttendingEverywhere(Attending):
    """With self-attention too."""

    def attention_maps(self, source_ids: Tensor, source_mask: Tensor, target_ids: Tensor) -> dict[str, Tensor]:
        assert target_ids[0, 0] == BOS
        assert source_ids[0, -1] == EOS
        cross = self.cross_attention(source_ids, source_mask, target_ids)
        assert cross is not None
        sizes = {"encoder": source_ids.shape[1], "decoder": target_ids.shape[1]}
        return {"cross": cross, **{name: self.weights(size, size) for name, size in sizes.items()}}


class ToyTranslator(LightningModule):
    """Looks words up, one by one."""

    decoding = Decoding(max_new_tokens=30)

    # Not nn.Module: the command line's completion would then list every module there is.
    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net, self.tokenizer = net, PAIR

    def generate(self, sources: Sequence[str], decoding: Decoding | None = None) -> list[list[Any]]:
        texts = [translated(source) for source in sources]
        encode = self.tokenizer.target.encode
        return [[SimpleNamespace(text=text, score=-1.0, ids=[*encode(text), EOS])] for text in texts]

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> list[dict[str, Any]]:  # type: ignore[override]
        rows = zip(batch["index"].tolist(), batch["sources"], batch["references"], strict=True)
        return [
            {"index": index, "source": source, "reference": reference, "translation": translated(source)}
            for index, source, reference in rows
        ]

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[dict[str, Any]]:
        rows = zip(batch["index"].tolist(), batch["sources"], strict=True)
        return [{"index": index, "source": source, "translation": translated(source)} for index, source in rows]


def loader(batch_size: int = 3, rank: int = 0, ranks: int = 1) -> DataLoader:
    """The test batches of one rank, the last rows first."""

    def collate(places: list[int]) -> dict[str, Any]:
        lengths = torch.tensor([len(PAIR.source.encode(SOURCES[i])) + 1 for i in places])
        mask = torch.arange(int(lengths.max()))[None] < lengths[:, None]
        texts = {"sources": [SOURCES[i] for i in places], "references": [REFERENCES[i] for i in places]}
        return {"index": torch.tensor(places), "source_mask": mask, **texts}

    return DataLoader(list(range(rank, len(SOURCES), ranks))[::-1], batch_size=batch_size, collate_fn=collate)
