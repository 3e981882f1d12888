"""Pictures of the attention weights of any net of text, and of vectors of positions."""

from typing import Any

import torch.nn.functional as F
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from seq_modules.callbacks.loggers.media import save_figure
from seq_modules.callbacks.text.attention_examples import (
    SENTENCE,
    AttentionCallback,
    AttentionPart,
    attention_examples,
)
from seq_modules.protocols.nets import net_of
from seqlight.core.plots import new_figure


class AttentionMaps(AttentionCallback):
    """Draws, after ``test``, the attention weights of a sentence by layer and head, for each kind of attention.

    Row i of a map has the weights of position i on each position that it attends to (Vaswani et al. 2017). A language
    model reads the sentence. So does a classifier, whose maps are those of its Transformer, and if it pools its states
    by attention one row, which is of the whole text. A translator translates the sentence; its maps are of the
    translation on the source and, in a Transformer, of the source and of the translation on themselves.

    The picture is ``plots/attention.png``, or ``attention_<kind>.png`` where there are several kinds; of several
    sentences the names end in the sentence's number. If positions are vectors, learned or sinusoidal, a further picture
    shows the cosine between each two of them. For a model without attention nothing is drawn, so every recipe of text
    may have this callback.

    Args:
        sentences: The sentences. By default the first sources of the data; for a system without sources, one sentence
            of English. They are cut to the model's context.
        count: How many of the data's are drawn, at least 1.
        predict: Draw after ``predict`` too.
        max_tokens: Number of tokens that are drawn at most, at least 2.

    Raises:
        UserError: A value is out of its range.
    """

    def __init__(
        self, sentences: list[str] | None = None, count: int = 1, predict: bool = False, max_tokens: int = 48
    ) -> None:
        super().__init__(sentences, count, predict, max_tokens)

    def show(self, trainer: Trainer, pl_module: LightningModule, texts: list[str]) -> None:
        """Draws the pictures."""
        examples = attention_examples(pl_module, texts or [SENTENCE], self.max_tokens)
        for number, example in enumerate(examples, start=1):
            for part in example.parts:
                kind = f"_{part.name}" if len(example.parts) > 1 else ""
                save_figure(trainer, draw(part), f"attention{kind}" + (f"_{number}" if len(examples) > 1 else ""))
        net = net_of(pl_module)
        if examples and net is not None:
            self._draw_positions(trainer, net)

    def _draw_positions(self, trainer: Trainer, net: nn.Module) -> None:
        table = getattr(net, "position_table", None)  # (T, D)
        if not isinstance(table, Tensor):
            return
        vectors = F.normalize(table.detach().float().cpu(), dim=-1)
        figure, (axis,) = new_figure(1, width=5.0, height=4.4)
        image = axis.imshow((vectors @ vectors.mT).numpy(), cmap="RdBu_r", vmin=-1, vmax=1)
        axis.grid(visible=False)
        axis.set(title="cosine between vectors of positions", xlabel="position", ylabel="position")
        figure.colorbar(image, ax=axis)
        save_figure(trainer, figure, "positions")


def draw(part: AttentionPart) -> Any:
    """A panel for each layer (row) and head (column)."""
    from matplotlib.colors import PowerNorm

    layers, heads, rows, columns = part.weights.shape
    keys = [visible(token) for token in part.keys]
    queries = part.queries if part.name == "pooling" else [visible(token) for token in part.queries]
    width = 2.4 if layers * heads > 1 else 5.0
    height = width * min(max(rows / columns, 0.2), 2.0) + 0.1
    figure, axes = new_figure(heads, width=width, height=height, rows=layers)
    turn = 90 if max(map(len, keys)) > 1 else 0
    size = min(max(54 * min(width / columns, height / rows), 4.0), 8.0)  # points; a token has 72 an inch
    for at, (axis, image) in enumerate(zip(axes, part.weights.flatten(0, 1), strict=True)):
        layer, head = divmod(at, heads)
        shades = axis.imshow(image.numpy(), cmap="magma", norm=PowerNorm(0.5, 0, 1), aspect="auto")  # small ones too
        axis.grid(visible=False)
        if layers * heads > 1:
            axis.set_title(f"layer {layer + 1}, head {head + 1}", fontsize=8)
        # A "$" of the text is not the beginning of a formula.
        shown = keys if layer == layers - 1 else []
        axis.set_xticks(range(columns), shown, fontsize=size, rotation=turn, parse_math=False)
        axis.set_yticks(range(rows), queries if head == 0 else [], fontsize=size, parse_math=False)
        axis.tick_params(length=0)
    figure.colorbar(shades, ax=list(axes), label="attention weight", fraction=0.02, aspect=40)
    figure.supxlabel("attended token", fontsize=8)
    figure.supylabel("attending token", fontsize=8)
    return figure


def visible(piece: str) -> str:
    """The text of a token, with visible symbols for spaces, line ends and tabs."""
    return piece.replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥")
