"""Which tokens a classifier's additive attention weighs most."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only

from seq_modules.callbacks.run.curves import save_figure
from seq_modules.callbacks.text.attention_maps import visible
from seqlight.core.errors import UserError
from seqlight.core.plots import new_figure

DARK = 4  # times its share that a token weighs where it is drawn darkest


class TextAttention(Callback):
    """Draws, after ``test``, the attention's weights over the tokens of the first texts, with what was predicted.

    A token is as dark as it weighs more than its share of 1 / length: long texts spread their weight thin. Tokens that
    all weigh alike are pale; the darkest has four times its share, or is the heaviest of a text with heavier ones.

    A classifier whose pooling is not "attention" has none to draw, which is said.

    Args:
        texts: How many texts, at least 1.
        max_tokens: Longest part of a text that is drawn, at least 2.
    """

    def __init__(self, texts: int = 12, max_tokens: int = 24) -> None:
        if texts < 1:
            raise UserError(f"texts must be at least 1, not {texts}")
        if max_tokens < 2:
            raise UserError(f"max_tokens must be at least 2, not {max_tokens}")
        self.texts, self.max_tokens = texts, max_tokens
        self._rows: list[tuple[list[int], list[float], str]] = []
        self._draws = False

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forgets an earlier test; says so where there is nothing to draw."""
        self._rows = []
        self._draws = getattr(getattr(getattr(pl_module, "net", None), "pooling", None), "attention", None) is not None
        if not self._draws:
            rank_zero_info("TextAttention draws nothing: this model was not trained with pooling attention")

    @torch.inference_mode()
    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps the first texts' tokens, weights and classes."""
        module: Any = pl_module
        if len(self._rows) >= self.texts or not self._draws:
            return
        count = self.texts - len(self._rows)
        ids, mask = batch["input_ids"][:count], batch["attention_mask"][:count].bool()
        weights = module.net.looks(ids, mask).float().tolist()
        predicted = module(ids, mask).argmax(-1).tolist()
        true = batch["labels"][:count].tolist()
        lengths = mask.sum(1).tolist()
        for row, length, looks, chosen, label in zip(ids.tolist(), lengths, weights, predicted, true, strict=True):
            title = module.name_of(chosen)
            if label >= 0 and label != chosen:
                title += f", not {module.name_of(label)}"
            self._rows.append((row[:length], looks[: max(length, len(looks) - len(row) + length)], title))

    @rank_zero_only
    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws them, one text a line."""
        tokenizer: Any = getattr(pl_module, "tokenizer", None)
        if not self._rows or tokenizer is None:
            return
        figure, (axis,) = new_figure(1, width=1 + 0.62 * self.max_tokens, height=0.6 + 0.34 * len(self._rows))
        table = torch.full((len(self._rows), self.max_tokens), torch.nan)
        for line, (ids, looks, _) in enumerate(self._rows):
            darkest = max(DARK / len(looks), *looks)
            shown = [weight / darkest for weight in looks[: self.max_tokens]]
            table[line, : len(shown)] = torch.tensor(shown)
            pieces = [visible(piece) for piece in tokenizer.pieces(ids)]
            pieces += ["·"] * (len(looks) - len(pieces))  # windows of a convolution that end behind the text
            for at, (piece, weight) in enumerate(zip(pieces[: self.max_tokens], shown, strict=False)):
                colour = "white" if weight > 0.5 else "black"
                axis.text(at, line, piece[:9], ha="center", va="center", fontsize=7, color=colour)
        axis.imshow(table.numpy(), cmap="Reds", vmin=0, vmax=1, aspect="auto")
        axis.grid(visible=False)
        axis.set_xticks([])
        axis.set_yticks(range(len(self._rows)), [title for *_, title in self._rows], fontsize=7)
        save_figure(trainer, figure, "text_attention")
