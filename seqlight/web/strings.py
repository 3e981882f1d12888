"""The page of a net that reads a string of symbols: its answer after each, and the hidden state as it moves.

T time, H hidden units.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from seq_modules import FormalLanguageModule, ParityModule
from seqlight.core.errors import UserError
from seqlight.core.plots import new_figure
from seqlight.web import fragments
from seqlight.web.face import Face, TextField, required_text
from seqlight.web.trained import Trained, predicted

MOST = 500  # symbols
NAMED = 60  # steps whose symbols fit below the picture
LISTED = 4  # steps that are named at one place of the plane
COLOURS = ("#4c78a840", "#f58518a0", "#54a24b80", "#e4575680", "#b279a280", "#9d755d80")


class StringsFace(Face):
    """Answers after each symbol of a string: parity, or any of the formal languages."""

    button = "Read"

    def __init__(self, trained: Trained) -> None:
        assert isinstance(trained.module, ParityModule | FormalLanguageModule)
        self.trained, self.module = trained, trained.module
        data = trained.data()
        if isinstance(self.module, ParityModule):
            self.argument, self.symbols, example = "bits", "01", "10110"
            self.title = "Bit parity"
            self.hint = "Type or click bits. After each of them the net tells whether the number of ones so far is odd."
        else:
            self.argument, self.symbols = "strings", data.task.alphabet
            example = max(data.task.examples[:3], key=len)
            self.title = f"A formal language: {data.hparams['task'].replace('_', ' ')}"
            self.hint = "Type or click symbols of the task. The net answers after each of them, or at the end."
        self.fields = {"string": TextField("a string", example, keys=self.symbols)}

    def answer(self, string: str = "") -> Iterator[str]:
        """The answers, and pictures of the hidden state."""
        string = "".join(required_text(string, "string").split())
        if strange := set(string) - set(self.symbols):
            raise UserError(f"the string holds {min(strange)!r}; its symbols are {' '.join(self.symbols)}")
        if len(string) > MOST:
            raise UserError(f"the string has {len(string):,} symbols; give at most {MOST}")
        batch = self.trained.batch(**{self.argument: [string]})
        (row,) = predicted(self.module, batch)
        if isinstance(self.module, ParityModule):
            chance = row["probability_odd"]
            answers: list[str] = list(row["running_parity"])
            shown = fragments.big(f"The number of ones is {'odd' if row['parity'] else 'even'}.")
            shown += fragments.bars([("odd", chance), ("even", 1 - chance)])
            labels = ["odd" if answer == "1" else "even" for answer in answers]
            symbols, places = list(string), list(range(len(string)))
        else:
            answers = labels = list(map(str, row["answers"]))
            shown = fragments.big(f"answer at the end: {row['answer']}")
            read = batch["input_ids"][0].tolist()
            symbols = [self.symbols[i] if i < len(self.symbols) else "·" for i in read]
            places = (batch["labels"][0] >= 0).nonzero()[:, 0].tolist()
        numbers = sorted(set(answers))
        colours: dict[int, str] = {
            place: COLOURS[numbers.index(answer) % len(COLOURS)] for place, answer in zip(places, answers, strict=True)
        }
        said = dict(zip(places, labels, strict=True))
        steps = range(len(symbols))
        shown += fragments.title("The answer after each symbol")
        shown += fragments.tags(symbols, [said.get(t, "") for t in steps], [colours.get(t) for t in steps])
        yield shown
        states = hidden_states(self.module, batch)
        drawn = fragments.picture(draw_states(states, symbols, colours), "the hidden state after each symbol")
        yield shown + fragments.title("The hidden state as it moves") + drawn


@torch.inference_mode()
def hidden_states(module: ParityModule | FormalLanguageModule, batch: dict[str, Any]) -> Tensor:
    """The states of the last layer after each symbol of the batch's first string, (T, H)."""
    owner = module if isinstance(module, ParityModule) else module.net
    states, _ = owner.hidden(batch["input_ids"][:1], batch["attention_mask"][:1])
    return states[0]


def plane_of(states: Tensor) -> Tensor:
    """States (T, H) on the two axes along which they vary most, (T, 2)."""
    centered = (states - states.mean(0)).double()
    _, _, axes = torch.linalg.svd(centered, full_matrices=False)  # (·, H), the largest first
    plane = centered @ axes[:2].T
    return torch.nn.functional.pad(plane, (0, 2 - plane.shape[1]))


def draw_states(states: Tensor, symbols: list[str], colours: dict[int, str]) -> Any:
    """The units over time, and the way of the state in its plane; dots have the colours of the answers."""
    figure, (units, way) = new_figure(2, width=3.7, height=2.9)
    most = float(states.abs().max().clamp(min=1e-6))
    image = units.imshow(states.T.numpy(), cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto", interpolation="nearest")
    units.grid(visible=False)
    units.set(title="value of each unit", ylabel="unit", xlabel="after the symbol")
    if len(symbols) <= NAMED:
        units.set_xticks(range(len(symbols)), symbols, fontsize=8, parse_math=False)
    units.yaxis.get_major_locator().set_params(integer=True)
    figure.colorbar(image, ax=units, fraction=0.05)
    across, up = plane_of(states).T.numpy()
    way.plot(across, up, color="0.75", linewidth=0.8, zorder=1)
    shades = [colours.get(t, "#cccccc")[:7] for t in range(len(symbols))]
    way.scatter(across, up, c=shades, s=36, edgecolors="black", linewidths=0.4, zorder=2)
    if len(symbols) <= NAMED:
        name_steps(way, across, up)
    way.margins(0.15)
    way.locator_params(nbins=5)
    way.set(title="its way in the main plane", xlabel="first axis", ylabel="second axis")
    return figure


def name_steps(axis: Any, across: Any, up: Any) -> None:
    """Names each place of a way by the steps, from 1 on, at which the state is there; the label is inside the picture.

    Args:
        axis: Axes with the way.
        across: Place of each step on the first axis, (T,).
        up: On the second, (T,).
    """
    steps: dict[tuple[float, float], list[int]] = {}
    spread = max(float(abs(across).max()), float(abs(up).max()), 1e-6)
    for t, (x, y) in enumerate(zip(across, up, strict=True)):
        steps.setdefault((round(x / spread, 1), round(y / spread, 1)), []).append(t)
    for at in steps.values():
        words = ", ".join(str(t + 1) for t in at[:LISTED]) + (" ..." if len(at) > LISTED else "")
        place, side, shift = (across[at[0]], up[at[0]]), "left", 5
        if place[0] > (across.max() + across.min()) / 2:
            side, shift = "right", -5
        axis.annotate(words, place, fontsize=8, ha=side, xytext=(shift, 5), textcoords="offset points")
