"""Which tokens a classifier's additive attention weighs most."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only

from seq_modules.callbacks.loggers.media import save_figure
from seq_modules.callbacks.text.attention_maps import visible
from seq_modules.protocols.nets import HasTokenWeights
from seq_modules.protocols.systems import Classifies, HasTokenizer
from seqlight.core.hyperparameters import check_range
from seqlight.core.plots import new_figure

DARK = 4  # times 1 / length: the weight of a token that is drawn darkest
LONGEST_PIECE = 9  # characters of a token; a longer one is cut


class TextAttention(Callback):
    """After ``test``, plots the attention's weights over the tokens of the first texts, with the predictions.

    Weights are drawn as multiples of 1 / length, because the weights of a long text are small. Tokens of equal weight
    are pale. The darkest has four times 1 / length, or is the heaviest of its text if that weighs more.

    For a classifier whose pooling is not "attention", nothing is drawn, and a message says so.

    Args:
        texts: Number of texts, at least 1.
        max_tokens: Number of tokens of a text that are drawn at most, at least 2.
    """

    whole_weights = True  # not with weights that are divided among processes (seq_modules/training/sharding.py)

    def __init__(self, texts: int = 12, max_tokens: int = 24) -> None:
        check_range("texts", texts, least=1)
        check_range("max_tokens", max_tokens, least=2)
        self.texts, self.max_tokens = texts, max_tokens
        self._rows: list[tuple[list[int], list[float], str]] = []
        self._draws = True

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forgets an earlier test."""
        self._rows, self._draws = [], True

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
        """Keeps the first texts' tokens, weights and classes; reports where there are no weights."""
        if len(self._rows) >= self.texts or not self._draws:
            return
        count = self.texts - len(self._rows)
        ids, mask = batch["input_ids"][:count], batch["attention_mask"][:count].bool()
        weights = pl_module.token_weights(ids, mask) if isinstance(pl_module, HasTokenWeights) else None
        if weights is None or not isinstance(pl_module, Classifies):
            self._draws = False
            rank_zero_info("TextAttention draws nothing: this model was not trained with pooling attention")
            return
        predicted = pl_module(ids, mask).argmax(-1).tolist()
        true = batch["labels"][:count].tolist()
        lengths = mask.sum(1).tolist()
        texts = zip(ids.tolist(), lengths, weights.float().tolist(), predicted, true, strict=True)
        for row, length, of_tokens, chosen, label in texts:
            title = pl_module.name_of(chosen)
            if label >= 0 and label != chosen:
                title += f", not {pl_module.name_of(label)}"
            behind = len(of_tokens) - len(row)  # windows of a convolution that end after the text
            self._rows.append((row[:length], of_tokens[: length + max(0, behind)], title))

    @rank_zero_only
    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws them, one text a line."""
        tokenizer: Any = pl_module.tokenizer if isinstance(pl_module, HasTokenizer) else None
        if not self._rows or tokenizer is None:
            return
        figure, (axis,) = new_figure(1, width=1 + 0.62 * self.max_tokens, height=0.6 + 0.34 * len(self._rows))
        table = torch.full((len(self._rows), self.max_tokens), torch.nan)
        for line, (ids, weights, _) in enumerate(self._rows):
            darkest = max(DARK / len(weights), *weights)
            shown = [weight / darkest for weight in weights[: self.max_tokens]]
            table[line, : len(shown)] = torch.tensor(shown)
            pieces = [visible(piece) for piece in tokenizer.pieces(ids)]
            pieces += ["·"] * (len(weights) - len(pieces))
            for at, (piece, weight) in enumerate(zip(pieces[: self.max_tokens], shown, strict=False)):
                colour = "white" if weight > 0.5 else "black"
                shown_piece = piece if len(piece) <= LONGEST_PIECE else piece[: LONGEST_PIECE - 1] + "…"
                axis.text(at, line, shown_piece, ha="center", va="center", fontsize=7, color=colour, parse_math=False)
        axis.imshow(table.numpy(), cmap="Reds", vmin=0, vmax=1, aspect="auto")
        axis.grid(visible=False)
        axis.set_xticks([])
        axis.set_yticks(range(len(self._rows)), [title for *_, title in self._rows], fontsize=7)
        axis.set_title("attention weights (darker: higher) by predicted class", fontsize=8)
        save_figure(trainer, figure, "text_attention")
