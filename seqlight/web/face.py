"""What the page of a system consists of: what a person gives, and the answer as HTML. It knows no browser."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from seq_modules.generation.decoding_config import Decoding
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_choice, check_range

INTERVAL = 0.05  # seconds between two answers that grow, at least


@dataclass(frozen=True)
class TextField:
    """A text.

    Attributes:
        label: What it is.
        value: What stands in it at first.
        lines: Its height.
        keys: Symbols that a click appends to it.
    """

    label: str
    value: str = ""
    lines: int = 1
    keys: str = ""


@dataclass(frozen=True)
class SliderField:
    """A number from ``least`` to ``most``, both included."""

    label: str
    value: float
    least: float
    most: float
    step: float


@dataclass(frozen=True)
class NumberField:
    """Any number."""

    label: str
    value: float


@dataclass(frozen=True)
class ChoiceField:
    """One of several words."""

    label: str
    value: str
    choices: tuple[str, ...]


@dataclass(frozen=True)
class FileField:
    """A file, of which the answer gets the path; None where there is none."""

    label: str
    endings: tuple[str, ...]


@dataclass(frozen=True)
class PlaneField:
    """A picture of the plane, on which a click gives two of the numbers; it is no argument of the answer.

    Attributes:
        label: What it is.
        pixels: The picture, (height, width, 3) bytes.
        point_at: The point of a pixel, from the left and from the top.
        targets: Names of the two fields that a click fills.
    """

    label: str
    pixels: np.ndarray
    point_at: Callable[[float, float], tuple[float, float]]
    targets: tuple[str, str]


Field = TextField | SliderField | NumberField | ChoiceField | FileField | PlaneField
# What every system asks that draws tokens.
SAMPLING: Mapping[str, Field] = {
    "temperature": SliderField("temperature (0: the likeliest)", 0.8, 0.0, 2.0, 0.05),
    "top_k": SliderField("top-k (0: all)", 0, 0, 100, 1),
    "top_p": SliderField("top-p (1: all)", 1.0, 0.05, 1.0, 0.05),
    "seed": SliderField("seed", 0, 0, 100, 1),
}


class Face:
    """A system's page. It reads the model and changes nothing, so that several people may use it at once.

    Attributes:
        title: What the system does.
        hint: What to do on the page.
        button: What the button says.
        fields: What a person gives, by the names of :meth:`answer`'s arguments.
        grows: Whether the answer grows while it is made. Only then can it be stopped.
    """

    title: str
    hint: str
    button: str
    fields: Mapping[str, Field]
    grows = False

    def answer(self, *args: Any, **given: Any) -> Iterator[str]:
        """The answer as HTML, of the fields by their names; each that is yielded takes the place of the one before.

        Raises:
            UserError: What was given is no input of the system.
        """
        raise NotImplementedError


def check_given(fields: Mapping[str, Field], given: Mapping[str, Any]) -> None:
    """Refuses what is no value of its field, such as a number that was deleted.

    Raises:
        UserError: A number is missing, infinite or out of its range, or a word is none of the choices.
    """
    for name, value in given.items():
        match fields[name]:
            case SliderField(label=label, least=least, most=most):
                check_range(label, required_number(label, value), least=least, most=most)
            case NumberField(label=label):
                check_range(label, required_number(label, value))
            case ChoiceField(label=label, choices=choices):
                check_choice(label, value, choices)


def required_number(label: str, value: Any) -> float:
    """A number that a person has given.

    Raises:
        UserError: There is none.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise UserError(f"{label}: there is no number; give one")
    return value


def required_text(text: str, what: str, most: int = 20_000) -> str:
    """A text that a person has written.

    Args:
        text: The text.
        what: What it is to be, for messages.
        most: Letters that a page takes at once, which answers while somebody waits.

    Raises:
        UserError: It is empty or longer.
    """
    if not text.strip():
        raise UserError(f"the {what} is empty; write one")
    if len(text) > most:
        raise UserError(f"the {what} has {len(text):,} letters, and the page takes {most:,} at once; give it in parts")
    return text


def decoding_of(given: Mapping[str, Any], max_new_tokens: float) -> Decoding:
    """How items are chosen, as the fields of :data:`SAMPLING` say.

    Raises:
        UserError: A value is out of its range.
    """
    return Decoding(
        max_new_tokens=int(max_new_tokens),
        temperature=float(given["temperature"]),
        top_k=int(given["top_k"]) or None,
        top_p=float(given["top_p"]),
        seed=int(given["seed"]),
    )


class LeftError(Exception):
    """Nobody reads the answer any more."""


def growing(work: Callable[[Callable[[str], None]], None]) -> Iterator[str]:
    """The texts that a function reports while it works, in a thread of its own; the latest where many came at once.

    The work ends at its next report when the iterator is closed.

    Args:
        work: Called with a function that it calls with each text. What it raises is raised here.
    """
    reports: queue.SimpleQueue[str | Exception | None] = queue.SimpleQueue()
    left = threading.Event()

    def report(text: str) -> None:
        if left.is_set():
            raise LeftError
        reports.put(text)

    def run() -> None:
        try:
            work(report)
        except LeftError:
            pass
        except Exception as error:
            reports.put(error)
        finally:
            reports.put(None)

    threading.Thread(target=run, daemon=True).start()
    try:
        while (found := reports.get()) is not None:
            latest = found
            while not isinstance(latest, Exception) and not reports.empty():
                if (found := reports.get()) is None:
                    break
                latest = found
            if isinstance(latest, Exception):
                raise latest
            yield latest
            if found is None:
                break
            time.sleep(INTERVAL)
    finally:
        left.set()
