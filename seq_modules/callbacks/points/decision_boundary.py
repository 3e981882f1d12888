"""Where a classifier of points in the plane changes its answer, and how that came about."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from seq_modules.callbacks.loggers.media import save_figure
from seq_modules.generation.decode import evaluating
from seq_modules.protocols.data import HasFeatures
from seqlight.core.hyperparameters import check_range
from seqlight.core.plots import new_figure

MARGIN = 0.1  # around the points, as a fraction of their range
MOST_PANELS = 8
Extent = tuple[float, float, float, float]  # left, right, bottom, top


class DecisionBoundary(Callback):
    """Draws the probabilities of the classes over the plane, the boundary between them, and the data.

    After ``fit``: ``plots/decision_boundary.png`` with the training points, ``plots/boundary_over_training.png`` with
    frames before training and after 1, 2, 4, 8, ... epochs, and the same as ``plots/boundary_over_training.gif``. After
    ``test``: the boundary with the test points. Data of other than two columns have no picture, and a message says so.

    Args:
        resolution: Points of the grid in each direction, at least 2.
        animate: Make the GIF too.

    Raises:
        UserError: The resolution is too small.
    """

    whole_weights = True  # not with weights that are divided among processes (seq_modules/training/sharding.py)

    def __init__(self, resolution: int = 100, animate: bool = True) -> None:
        check_range("resolution", resolution, least=2)
        self.resolution, self.animate = resolution, animate
        self._frames: dict[int, Tensor] = {}  # epochs done -> probabilities (C, R, R), rows from bottom to top

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Forgets an earlier fit; a checkpoint that is resumed brings its frames afterwards."""
        if stage == "fit":
            self._frames = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Records the boundary of the first weights."""
        if not self._frames and (data := points_of(trainer)) is not None:
            self._record(trainer, pl_module, data, trainer.current_epoch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Records the boundary where the number of epochs is a power of two."""
        done = trainer.current_epoch + 1
        if done & (done - 1) == 0 and (data := points_of(trainer)) is not None:
            self._record(trainer, pl_module, data, done)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws the pictures of the training."""
        if not trainer.is_global_zero:
            return
        if (data := points_of(trainer)) is None:
            rank_zero_info("DecisionBoundary draws nothing: the data has not two columns of numbers")
            return
        self._record(trainer, pl_module, data, trainer.current_epoch)
        self._draw_last(trainer, pl_module, data, "train", self._frames[trainer.current_epoch])
        self._draw_frames(trainer, pl_module, data)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws the boundary with the test points."""
        if trainer.is_global_zero and (data := points_of(trainer)) is not None:
            frame = probabilities(pl_module, extent_of(data), self.resolution)
            self._draw_last(trainer, pl_module, data, "test", frame)

    def state_dict(self) -> dict[str, Any]:
        """The frames, so that a resumed training has all of them."""
        return {"frames": {epoch: (255 * frame).round().byte() for epoch, frame in self._frames.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over a checkpoint's frames."""
        self._frames = {epoch: frame.float() / 255 for epoch, frame in state_dict["frames"].items()}

    def _record(self, trainer: Trainer, pl_module: LightningModule, data: HasFeatures, epoch: int) -> None:
        if trainer.is_global_zero:
            self._frames[epoch] = probabilities(pl_module, extent_of(data), self.resolution)

    def _draw_last(
        self, trainer: Trainer, pl_module: LightningModule, data: HasFeatures, part: str, frame: Tensor
    ) -> None:
        figure, (axis,) = new_figure(width=5.6, height=4.6)
        draw(axis, frame, data, part, size=14)
        axis.set(xlabel=data.feature_names[0], ylabel=data.feature_names[1], title=f"decision boundary, {part} data")
        handles, labels = axis.get_legend_handles_labels()
        names = [pl_module.name_of(int(label)) for label in labels]  # type: ignore[operator]
        axis.legend(handles, names, title="class", loc="upper right", fontsize=8)
        save_figure(trainer, figure, "decision_boundary")

    def _draw_frames(self, trainer: Trainer, pl_module: LightningModule, data: HasFeatures) -> None:
        epochs = sorted(self._frames)
        shown = epochs[:1] + epochs[1:][-(MOST_PANELS - 1) :]
        columns = min(4, len(shown))
        figure, axes = new_figure(columns, width=2.6, height=2.5, rows=-(-len(shown) // columns))
        for axis in axes[len(shown) :]:
            axis.set_visible(False)
        for axis, epoch in zip(axes, shown, strict=False):
            draw_frame(axis, self._frames[epoch], data, epoch)
        path = save_figure(trainer, figure, "boundary_over_training")
        if self.animate:
            from matplotlib.animation import FuncAnimation, PillowWriter

            figure, (axis,) = new_figure(width=4.0, height=3.8)

            def show(epoch: int) -> None:
                axis.clear()
                draw_frame(axis, self._frames[epoch], data, epoch)

            FuncAnimation(figure, show, frames=epochs, init_func=lambda: None).save(
                path.with_suffix(".gif"), writer=PillowWriter(fps=2)
            )


def points_of(trainer: Trainer) -> HasFeatures | None:
    """The Trainer's data, if they are points in the plane."""
    data = trainer.datamodule  # type: ignore[attr-defined]
    return data if isinstance(data, HasFeatures) and len(data.feature_names) == 2 else None


def extent_of(data: HasFeatures) -> Extent:
    """The part of the plane that holds the training points, with a margin."""
    features, _ = data.points("train")
    low, high = features.amin(0), features.amax(0)
    margin = MARGIN * (high - low).clamp(min=1e-6)
    (left, bottom), (right, top) = (low - margin).tolist(), (high + margin).tolist()
    return left, right, bottom, top


@torch.inference_mode()
def probabilities(module: LightningModule, extent: Extent, resolution: int) -> Tensor:
    """Probabilities of the classes on a grid, (C, R, R) in float32 on the CPU; rows from bottom to top."""
    left, right, bottom, top = extent
    x, y = torch.linspace(left, right, resolution), torch.linspace(bottom, top, resolution)
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).flatten(0, 1)  # (R·R, 2)
    weight = next(module.parameters())
    with evaluating(module):
        logits = module(grid.to(weight.device, weight.dtype))
    return logits.float().softmax(-1).cpu().T.reshape(-1, resolution, resolution)


def draw_frame(axis: Any, frame: Tensor, data: HasFeatures, epoch: int) -> None:
    """One of several frames, without numbers on its axes."""
    draw(axis, frame, data, "train", size=3)
    axis.set(xticks=[], yticks=[])
    axis.set_title("before training" if epoch == 0 else f"after {epoch} epoch{'s' if epoch > 1 else ''}", fontsize=9)


def draw(axis: Any, frame: Tensor, data: HasFeatures, part: str, size: float) -> None:
    """Mixes the classes' colours by their probabilities, and draws the boundary and the points of a part.

    Args:
        axis: Where to draw.
        frame: Probabilities (C, R, R).
        data: The points.
        part: "train", "val" or "test".
        size: Area of a point.
    """
    from matplotlib import colormaps

    classes, resolution, _ = frame.shape
    palette = colormaps["tab10" if classes <= 10 else "hsv"]
    shades = [palette(c if classes <= 10 else c / classes)[:3] for c in range(classes)]
    colours = torch.tensor(shades, dtype=torch.float32)  # (C, 3)
    extent = extent_of(data)
    mixed = torch.einsum("crs,ck->rsk", frame, colours)
    axis.grid(visible=False)
    axis.imshow((0.6 + 0.4 * mixed).clamp(max=1).numpy(), extent=extent, origin="lower", aspect="auto")
    left, right, bottom, top = extent
    x, y = torch.linspace(left, right, resolution).numpy(), torch.linspace(bottom, top, resolution).numpy()
    for c in range(classes if classes > 2 else 1):  # the lead of each class over the best of the others
        others = torch.cat((frame[:c], frame[c + 1 :])).amax(0)
        lead = (frame[c] - others).numpy()
        if lead.min() < 0 < lead.max():
            axis.contour(x, y, lead, levels=[0.0], colors="black", linewidths=1)
    features, labels = data.points(part)
    for c in range(classes):
        of_class = features[labels == c].numpy()
        axis.scatter(*of_class.T, s=size, color=colours[c].numpy(), edgecolors="white", linewidths=0.3, label=str(c))
