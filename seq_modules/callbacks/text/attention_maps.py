"""Pictures of a Transformer's attention weights, and of its learned positions."""

import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn

from seq_modules.callbacks.run.curves import save_figure
from seq_modules.protocols import HasAttentionMaps, HasTokenizer, net_of
from seqlight.core.checks import check_range
from seqlight.core.errors import UserError
from seqlight.core.plots import new_figure


class AttentionMaps(Callback):
    """Draws, after ``test``, the attention weights of a sentence by layer and head.

    Row i of a map has the weights of position i on itself and each position before it (Vaswani et al. 2017). If
    positions are learned vectors, a second picture shows the cosine between each two of them. For a model without
    attention nothing is drawn, so every recipe of text may have this callback.

    Args:
        text: The sentence. It is read as the beginning of a line, and cut to the model's context.
        max_tokens: Number of tokens that are drawn at most, at least 2.
    """

    whole_weights = True  # not with weights that are divided among processes (seq_modules/training/sharding.py)

    def __init__(self, text: str = "The value of the expression is returned.", max_tokens: int = 48) -> None:
        check_range("max_tokens", max_tokens, least=2)
        self.text, self.max_tokens = text, max_tokens

    @rank_zero_only
    @torch.inference_mode()
    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws both pictures."""
        net = net_of(pl_module)
        tokenizer = pl_module.tokenizer if isinstance(pl_module, HasTokenizer) else None
        if tokenizer is None or not isinstance(net, HasAttentionMaps):
            return
        ids = net.window(tokenizer.encode(self.text))[: self.max_tokens]
        if len(ids) < 2:
            raise UserError(f"text {self.text!r} is {len(ids)} token long; give a sentence")
        weights = net.attention_maps(torch.tensor([ids], device=pl_module.device))
        if weights is None:
            return
        from matplotlib.colors import PowerNorm

        maps = weights[0].float().cpu()  # (L, H, T, T)
        pieces = [visible(piece) for piece in tokenizer.pieces(ids)]
        layers, heads = maps.shape[:2]
        figure, axes = new_figure(heads, width=2.4, height=2.5, rows=layers)
        for at, (axis, image) in enumerate(zip(axes, maps.flatten(0, 1), strict=True)):
            layer, head = divmod(at, heads)
            shades = axis.imshow(image.numpy(), cmap="magma", norm=PowerNorm(0.5, 0, 1))  # small weights stay visible
            axis.grid(visible=False)
            axis.set_title(f"layer {layer + 1}, head {head + 1}", fontsize=8)
            # A "$" of the text is not the beginning of a formula.
            turn = 90 if max(map(len, pieces)) > 1 else 0
            shown = pieces if layer == layers - 1 else []
            axis.set_xticks(range(len(pieces)), shown, fontsize=5, rotation=turn, parse_math=False)
            axis.set_yticks(range(len(pieces)), pieces if head == 0 else [], fontsize=5, parse_math=False)
            axis.tick_params(length=0)
        figure.colorbar(shades, ax=list(axes), label="attention weight", fraction=0.02, aspect=40)
        figure.supxlabel("attended token", fontsize=8)
        figure.supylabel("attending token", fontsize=8)
        save_figure(trainer, figure, "attention")
        self._draw_positions(trainer, net)

    def _draw_positions(self, trainer: Trainer, net: nn.Module) -> None:
        table = getattr(net, "position_table", None)  # (T, D), learned positions alone
        if not isinstance(table, Tensor):
            return
        vectors = F.normalize(table.detach().float().cpu(), dim=-1)
        figure, (axis,) = new_figure(1, width=5.0, height=4.4)
        image = axis.imshow((vectors @ vectors.mT).numpy(), cmap="RdBu_r", vmin=-1, vmax=1)
        axis.grid(visible=False)
        axis.set(title="cosine between learned positions", xlabel="position", ylabel="position")
        figure.colorbar(image, ax=axis)
        save_figure(trainer, figure, "positions")


def visible(piece: str) -> str:
    """The text of a token, with visible symbols for spaces, line ends and tabs."""
    return piece.replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥")
