"""A page to look through the attention of all layers and heads: one HTML file without anything from elsewhere."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only

from seq_modules.callbacks.run.run_folder import run_folder
from seq_modules.callbacks.text.attention_examples import AttentionExample, FirstSources, attention_examples
from seq_modules.callbacks.text.attention_maps import visible
from seqlight.core.checks import check_range

TEMPLATE = Path(__file__).with_suffix(".html")
SENTENCE = "The value of the expression is returned."  # for a system whose data have no sources


class AttentionPage(Callback):
    """Writes, after ``test``, ``attention.html``: sentences with the attention of every layer and head.

    A token that one points at shades those that it attends to. The page holds its data, and loads nothing; any browser
    opens it. It shows the cross-attention, the encoder's and the decoder's self-attention of a sequence-to-sequence
    system, a language model's self-attention, and a classifier's pooling attention. For a model without attention
    nothing is written, and a message says so.

    Args:
        sentences: Texts to show. By default the first sources of the data; for a system without sources, one sentence
            of English.
        count: How many of the data's are shown, at least 1.
        predict: Write the page after ``predict`` too.
        max_tokens: Most tokens of a sentence, and of its translation, that are shown, at least 2.
    """

    whole_weights = True  # not with weights that are divided among processes (seq_modules/training/sharding.py)

    def __init__(
        self, sentences: list[str] | None = None, count: int = 10, predict: bool = False, max_tokens: int = 48
    ) -> None:
        check_range("count", count, least=1)
        check_range("max_tokens", max_tokens, least=2)
        self.predict, self.max_tokens = predict, max_tokens
        self._sources = FirstSources(sentences, count)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forgets an earlier test."""
        self._sources.clear()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forgets an earlier prediction."""
        self._sources.clear()

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps the first sources."""
        self._sources.add(batch)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps the first sources."""
        self._sources.add(batch)

    @rank_zero_only
    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the page."""
        self._write(trainer, pl_module)

    @rank_zero_only
    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the page, if that was chosen."""
        if self.predict:
            self._write(trainer, pl_module)

    def _write(self, trainer: Trainer, pl_module: LightningModule) -> None:
        examples = attention_examples(pl_module, self._sources.texts or [SENTENCE], self.max_tokens)
        if not examples:
            rank_zero_info("AttentionPage writes nothing: this model has no attention")
            return
        path = run_folder(trainer) / "attention.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(attention_page(examples, self.max_tokens), encoding="utf-8")
        print(f"attention of {len(examples)} sentence{'s' if len(examples) > 1 else ''}: {path}")


def attention_page(examples: Sequence[AttentionExample], max_tokens: int) -> str:
    """The page as HTML.

    Weights are rounded to a 255th. The texts stand in the page as JSON in which no character can end the element or
    begin another; the page's program shows them as text alone.
    """
    shown = [
        {
            "text": example.text,
            "output": example.output,
            "parts": [
                {
                    "name": part.name,
                    "queries": [visible(token) for token in part.queries],
                    "keys": [visible(token) for token in part.keys],
                    "layers": part.weights.shape[0],
                    "heads": part.weights.shape[1],
                    "weights": base64.b64encode(part.weights.mul(255).round().byte().numpy().tobytes()).decode(),
                }
                for part in example.parts
            ],
        }
        for example in examples
    ]
    text = json.dumps({"max_tokens": max_tokens, "examples": shown})  # ASCII alone
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return TEMPLATE.read_text(encoding="utf-8").replace("@DATA@", text)
