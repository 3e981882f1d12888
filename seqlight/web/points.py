"""The page of a perceptron: rows of numbers to classify, and for points in the plane the boundary of its classes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from seq_modules import MLPClassifier
from seq_modules.callbacks.points.decision_boundary import draw, extent_of, probabilities
from seqlight.core.errors import UserError
from seqlight.core.plots import new_figure
from seqlight.web import fragments
from seqlight.web.face import Face, Field, NumberField, PlaneField
from seqlight.web.trained import Trained

RESOLUTION, SIZE, DPI = 120, 5.0, 90  # points of the grid in each direction; inches; pixels an inch


class PointsFace(Face):
    """Tells the class of a row of numbers."""

    title = "A perceptron"
    button = "Classify"

    def __init__(self, trained: Trained) -> None:
        assert isinstance(trained.module, MLPClassifier)
        self.module = trained.module
        self.data = None
        fields: dict[str, Field] = {}
        names = self.module.feature_names
        if len(names) == 2:
            try:
                self.data = trained.data()
                fields["plane"] = plane_field(self.module, self.data)
            except (UserError, OSError):  # the file of the training is not there any more
                self.data = None
        means = self.module.mean.tolist()
        fields |= {f"n{at}": NumberField(name, round(means[at], 3)) for at, name in enumerate(names)}
        self.fields = fields
        clicks = " or click on the picture" if self.data is not None else ""
        self.hint = f"Give the numbers{clicks}; the model tells the class: {', '.join(self.module.class_names)}."

    def answer(self, **numbers: float | None) -> Iterator[str]:
        """The classes with their probabilities, and the point in the plane."""
        row = [numbers.get(f"n{at}") for at in range(len(self.module.feature_names))]
        for name, value in zip(self.module.feature_names, row, strict=True):
            if value is None or not np.isfinite(value):
                raise UserError(f"{name}: is no number; give one")
        with torch.inference_mode():
            chances = self.module(torch.tensor([row], dtype=torch.float32)).softmax(-1)[0]
        values, best = chances.sort(descending=True)
        found = [(self.module.name_of(c), value) for c, value in zip(best.tolist(), values.tolist(), strict=True)]
        shown = fragments.big(f"class {found[0][0]}") + fragments.bars(found)
        if self.data is not None:
            figure, axis = draw_plane(self.module, self.data)
            axis.scatter(*row, s=220, marker="*", color="gold", edgecolors="black", zorder=5)
            shown += fragments.title("The point and the decision boundary")
            shown += fragments.picture(figure, "the point and the decision boundary")
        yield shown


def draw_plane(module: MLPClassifier, data: Any) -> tuple[Any, Any]:
    """The boundary with the training points: the figure and its axes."""
    figure, (axis,) = new_figure(width=SIZE, height=SIZE)
    draw(axis, probabilities(module, extent_of(data), RESOLUTION), data, "train", size=12)
    axis.set(xlabel=data.feature_names[0], ylabel=data.feature_names[1])
    handles, labels = axis.get_legend_handles_labels()
    names = [module.name_of(int(label)) for label in labels]
    axis.legend(handles, names, title="class", loc="upper right", fontsize=8)
    return figure, axis


def plane_field(module: MLPClassifier, data: Any) -> PlaneField:
    """The boundary as a picture on which a click gives a point."""
    figure, axis = draw_plane(module, data)
    figure.set_dpi(DPI)
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
    to_point = axis.transData.inverted()
    height = pixels.shape[0]

    def point_at(across: float, down: float) -> tuple[float, float]:
        x, y = to_point.transform((across, height - down))
        return round(float(x), 3), round(float(y), 3)

    return PlaneField("click a point", pixels, point_at, ("n0", "n1"))
