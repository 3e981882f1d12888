"""Pictures of the attention between the words of a source and of its translation."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info

from seq_modules.callbacks.loggers.media import save_figure
from seq_modules.callbacks.text.attention_examples import AttentionCallback, AttentionPart, attention_examples
from seq_modules.callbacks.text.attention_maps import visible
from seqlight.core.hyperparameters import check_range
from seqlight.core.plots import new_figure

INCHES_A_TOKEN = 0.3


class Alignments(AttentionCallback):
    """Draws, after ``test``, how much each word of a translation attends to each word of its source.

    A row is of the token that is written next, as in Bahdanau et al. (2015); its weights sum to 1. The picture of the
    i-th sentence is ``plots/alignment_<i>.png``. Its weights are means over all heads, of all layers unless ``layer``
    names one. For a model without attention between source and target nothing is drawn, and a message says so.

    Args:
        sentences: Sources to draw; by default the first of the data.
        count: How many of the data's are drawn, at least 1.
        predict: Draw after ``predict`` too.
        layer: The decoder's layer that is drawn, from 1 on. In a Transformer, the last but one is often nearest to an
            alignment of words (Garg et al. 2019).
        max_tokens: Most tokens of a sentence that are drawn, at least 2.
    """

    def __init__(
        self,
        sentences: list[str] | None = None,
        count: int = 4,
        predict: bool = False,
        layer: int | None = None,
        max_tokens: int = 40,
    ) -> None:
        super().__init__(sentences, count, predict, max_tokens)
        check_range("layer", layer, least=1)
        self.layer = layer

    def show(self, trainer: Trainer, pl_module: LightningModule, texts: list[str]) -> None:
        """Draws the pictures."""
        examples = attention_examples(pl_module, texts, self.max_tokens)
        parts = [part for example in examples for part in example.parts if part.name == "cross"]
        if not parts:
            rank_zero_info("Alignments draws nothing: there is no sentence, or no attention between source and target")
        for at, part in enumerate(parts, start=1):
            save_figure(trainer, self.draw(part), f"alignment_{at}")

    def draw(self, part: AttentionPart) -> Any:
        """The plot of one sentence.

        Raises:
            UserError: The decoder has no such layer.
        """
        from matplotlib.colors import PowerNorm

        check_range("layer", self.layer, most=len(part.weights))
        layers = part.weights if self.layer is None else part.weights[self.layer - 1 : self.layer]
        rows, columns = len(part.queries), len(part.keys)
        width, height = 2.4 + INCHES_A_TOKEN * columns, 1.4 + INCHES_A_TOKEN * rows
        figure, (axis,) = new_figure(width=width, height=height)
        shades = PowerNorm(0.6, vmin=0, vmax=1)  # small weights stay visible
        image = axis.imshow(layers.mean((0, 1)).numpy(), cmap="Greys", norm=shades)
        axis.grid(visible=False)
        axis.xaxis.tick_top()
        plain = {"parse_math": False, "fontsize": 9}  # a "$" of the text is not the beginning of a formula
        axis.set_xticks(
            range(columns),
            [visible(token) for token in part.keys],
            rotation=60,
            ha="left",
            rotation_mode="anchor",
            **plain,
        )
        axis.set_yticks(range(rows), [visible(token) for token in part.queries], **plain)
        axis.tick_params(length=0)
        axis.set(xlabel="source", ylabel="translation")
        axis.xaxis.set_label_position("bottom")
        figure.colorbar(image, ax=axis, label="attention", fraction=0.03, aspect=25)
        return figure
