"""A page to look through the attention of all layers and heads: one HTML file without anything from elsewhere."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info

from seq_modules.callbacks.run.run_folder import run_folder
from seq_modules.callbacks.text.attention_examples import (
    SENTENCE,
    AttentionCallback,
    AttentionExample,
    attention_examples,
)
from seq_modules.callbacks.text.attention_maps import visible

TEMPLATE = Path(__file__).with_suffix(".html")


class AttentionPage(AttentionCallback):
    """Writes, after ``test``, ``attention.html``: sentences with the attention of every layer and head.

    A token that one points at shades those that it attends to. The page holds its data, and loads nothing; any browser
    opens it. It shows the cross-attention, the encoder's and the decoder's self-attention of a sequence-to-sequence
    system, the self-attention of a language model or of a classifier, and a classifier's pooling attention. For a model
    without attention nothing is written, and a message says so.

    Args:
        sentences: Texts to show. By default the first sources of the data; for a system without sources, one sentence
            of English.
        count: How many of the data's are shown, at least 1.
        predict: Write the page after ``predict`` too.
        max_tokens: Most tokens of a sentence, and of its translation, that are shown, at least 2.
    """

    def __init__(
        self, sentences: list[str] | None = None, count: int = 10, predict: bool = False, max_tokens: int = 48
    ) -> None:
        super().__init__(sentences, count, predict, max_tokens)

    def show(self, trainer: Trainer, pl_module: LightningModule, texts: list[str]) -> None:
        """Writes the page."""
        examples = attention_examples(pl_module, texts or [SENTENCE], self.max_tokens)
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
