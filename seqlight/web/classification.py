"""The page of a classifier of texts: its classes with their probabilities, and the words that speak for the first.

B rows, T tokens, C classes.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from seq_modules import NgramClassifier
from seq_modules.systems.classifier import Classifier
from seq_modules.training.tokenizer import required_tokenizer
from seqlight.web import fragments
from seqlight.web.face import ChoiceField, Face, TextField, required_text
from seqlight.web.trained import Trained, first_batch, predicted

SHOWN = 12  # classes
MOST_PARTS = 128  # of a text that are left out one after the other; longer texts are left out in groups of tokens
ROWS = 32  # texts of a batch of occlusion
ATTENTION, OCCLUSION = "attention", "occlusion"


class ClassificationFace(Face):
    """Tells the class of a text."""

    title = "A classifier of texts"
    button = "Classify"

    def __init__(self, trained: Trained) -> None:
        assert isinstance(trained.module, Classifier)
        self.trained, self.module, self.tokenizer = trained, trained.module, required_tokenizer(trained.module)
        names = [self.module.name_of(label) for label in range(self.module.num_classes)]
        self.hint = f"Write a text. The model tells its class: {', '.join(names[:SHOWN])}."
        self.fields = {"text": TextField("a text", first_example(trained), lines=4)}
        if self._weights(torch.tensor([[self.tokenizer.special["unk"]]])) is not None:
            self.fields |= {
                "marks": ChoiceField("what the words are marked by", ATTENTION, (ATTENTION, OCCLUSION)),
            }

    def answer(self, text: str = "", marks: str = OCCLUSION) -> Iterator[str]:
        """The classes, and the text with marks."""
        batch = self.trained.batch(predict={"texts": [required_text(text, "text")]})
        ids, mask = batch["input_ids"], batch["attention_mask"].bool()
        with torch.inference_mode():
            chances = self.module.probabilities(ids, mask)[0]
        values, best = chances.topk(min(SHOWN, len(chances)))
        label = int(best[0])
        rows = [(self.module.name_of(c), value) for c, value in zip(best.tolist(), values.tolist(), strict=True)]
        shown = fragments.big(self.module.name_of(label)) + fragments.bars(rows)
        yield shown
        pieces = list(map(fragments.visible, self.tokenizer.pieces(ids[0].tolist())))
        weights = self._weights(ids) if marks == ATTENTION else None
        if weights is not None:
            shown += fragments.title("The attention that the words get when they are pooled")
            pieces += ["·"] * (weights.shape[1] - len(pieces))  # windows of a convolution that end after the text
            shown += fragments.marks(pieces, weights[0].tolist(), words=True)
        else:
            shown += fragments.title(
                f"By how much {self.module.name_of(label)} is likelier with each word than without"
            )
            lost = occlusion(self.module, ids, label, self.tokenizer.special["unk"])
            shown += fragments.marks(pieces, lost, words=True)
            shown += fragments.note(
                "Each word is replaced by an unknown one in turn. Red words speak against the class."
            )
        if isinstance(self.module, NgramClassifier):
            (row,) = predicted(self.module, batch)
            votes = [(ngram, value) for ngram, value in row.get("ngrams", [])]
            shown += fragments.title("What the strongest n-grams add to its log-odds") + fragments.bars(
                votes, "{:+.2f}"
            )
        yield shown

    @torch.inference_mode()
    def _weights(self, ids: Tensor) -> Tensor | None:
        return self.module.token_weights(ids, torch.ones_like(ids, dtype=torch.bool))


def first_example(trained: Trained) -> str:
    """A text to begin with: the first that ``predict`` takes where none is given."""
    data: Any = trained.data()
    batch = first_batch(data)
    return batch["texts"][batch["index"].tolist().index(0)] if 0 in batch["index"].tolist() else batch["texts"][0]


@torch.inference_mode()
def occlusion(module: Classifier, ids: Tensor, label: int, unknown: int) -> list[float]:
    """How much of a class's probability each token of a text brings: what is lost where it is an unknown one.

    Tokens of a text of more than :data:`MOST_PARTS` are replaced in groups of neighbours.

    Args:
        module: The classifier.
        ids: The text, (1, T).
        label: The class.
        unknown: Id of the unknown token.
    """
    steps = ids.shape[1]
    group = torch.arange(steps) // -(-steps // MOST_PARTS)  # (T,)
    hidden = torch.arange(int(group[-1]) + 1)[:, None] == group  # (G, T)
    rows = torch.cat((ids, ids.masked_fill(hidden, unknown)))  # (1 + G, T)
    found = [module.probabilities(part) for part in rows.split(ROWS)]
    chances = torch.cat(found)[:, label]
    return (chances[0] - chances[1:])[group].tolist()
