"""Draws every matrix of docs/lessons/attention.md, from the code of that page.

python benchmarks/studies/attention_picture.py
"""

import contextlib
import io
import re
from pathlib import Path
from typing import Any

from seqlight.core.plots import new_figure

PAGE = Path(__file__).resolve().parents[2] / "docs/lessons/attention.md"


def matrices() -> tuple[list[tuple[str, Any]], list[str]]:
    """The page's matrices with their titles, in its order, and the tokens."""
    scope: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S):
            exec(compile(code, PAGE.name, "exec"), scope)
    found = [(name, scope[name]) for name in ("embedding", "positions", "x")]
    of_head = {name: name for name in ("q", "k", "v", "scores", "masked", "weights")} | {"heads": "weights · v"}
    for head in (0, 1):
        found += [(f"{title}, head {head + 1}", scope[name][head]) for name, title in of_head.items()]
    return [*found, ("output", scope["output"])], scope["tokens"]


def main() -> None:
    """Draws the matrices with their numbers."""
    found, tokens = matrices()
    # A row of what goes in and comes out, and a row for each head.
    rows = [[*found[:3], found[-1]], found[3:10], found[10:17]]
    columns = max(map(len, rows))
    figure, axes = new_figure(columns, width=1.9, height=2.0, rows=len(rows))
    for axis in axes:
        axis.set_visible(False)
    for at, row in enumerate(rows):
        for axis, (title, matrix) in zip(axes[at * columns :], row, strict=False):
            axis.set_visible(True)
            weights = title.startswith("weights,")
            shades = {"cmap": "magma", "vmin": 0, "vmax": 1} if weights else {"cmap": "RdBu_r", "vmin": -2, "vmax": 2}
            axis.imshow(matrix.numpy(), aspect="auto", **shades)
            axis.grid(visible=False)
            axis.set_title(title, fontsize=8)
            square = title.startswith(("scores", "masked", "weights,"))
            axis.set_xticks(range(matrix.shape[1]), tokens if square else [""] * matrix.shape[1], fontsize=6)
            axis.set_yticks(range(len(tokens)), tokens, fontsize=6)
            axis.tick_params(length=0)
            for i, numbers in enumerate(matrix.tolist()):
                for j, value in enumerate(numbers):
                    dark = value < 0.5 if weights else 1.3 < abs(value) < float("inf")
                    text = "-∞" if value == float("-inf") else f"{value:.2f}"
                    axis.text(j, i, text, ha="center", va="center", fontsize=6, color="white" if dark else "black")
    path = PAGE.with_suffix("") / "steps.png"
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)
    print(path)


if __name__ == "__main__":
    main()
