"""Pieces of HTML that answers consist of. Texts are escaped; pictures, sounds and files stand in the page itself."""

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import Any

CSS = """
.sl-text { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 1.05em; line-height: 1.6; }
.sl-given { opacity: 0.6; }
.sl-title { margin: 1.1em 0 0.4em; font-weight: 600; }
.sl-note { opacity: 0.75; font-size: 0.9em; margin: 0.3em 0; }
.sl-refusal { border-left: 4px solid #d97706; padding: 0.6em 0.9em; background: rgb(217 119 6 / 12%); }
.sl-big { font-size: 1.5em; font-weight: 600; margin: 0.3em 0; overflow-wrap: anywhere; }
.sl-bars { display: grid; grid-template-columns: max-content 1fr max-content; gap: 4px 10px; max-width: 44em; }
.sl-bars > * { align-self: center; }
.sl-bar { background: rgb(128 128 128 / 15%); border-radius: 3px; height: 1.05em; overflow: hidden; }
.sl-bar > div { background: #4c78a8; height: 100%; border-radius: 3px; }
.sl-bar > div.sl-against { background: #d1605e; }
.sl-marks { line-height: 2; overflow-wrap: anywhere; }
.sl-marks span { padding: 2px 3px; border-radius: 3px; white-space: pre-wrap; }
.sl-tags { display: flex; flex-wrap: wrap; gap: 6px; }
.sl-tags span { display: inline-flex; flex-direction: column; align-items: center; padding: 3px 7px;
  border-radius: 5px; background: rgb(128 128 128 / 13%); }
.sl-tags small { opacity: 0.75; font-size: 0.75em; }
.sl-answer table.sl-table { border-collapse: collapse; border: none !important; }
.sl-answer .sl-table :is(thead, tbody, tr) { border: none !important; }
.sl-answer .sl-table :is(th, td) { padding: 3px 14px 3px 0; text-align: left; border: none !important;
  border-bottom: 1px solid rgb(128 128 128 / 25%) !important; }
.sl-picture { max-width: 100%; max-height: 48em; width: auto; height: auto; background: white; border-radius: 4px; }
.sl-wide { overflow-x: auto; }
.sl-wide .sl-picture { max-width: none; max-height: none; }
.sl-file { text-decoration: underline; }
.sl-answer audio { width: 100%; max-width: 40em; }
"""
SYMBOLS = {" ": "␣", "\n": "⏎", "\t": "⇥"}


def title(words: str) -> str:
    """A heading."""
    return f'<div class="sl-title">{escape(words)}</div>'


def note(words: str) -> str:
    """A remark."""
    return f'<div class="sl-note">{escape(words)}</div>'


def refusal(words: str) -> str:
    """What is wrong with what was given."""
    return f'<div class="sl-refusal" role="alert">{escape(words)}</div>'


def big(words: str) -> str:
    """The answer in a word."""
    return f'<div class="sl-big">{escape(words)}</div>'


def text(given: str, new: str) -> str:
    """A text that was given, and how it goes on."""
    return f'<div class="sl-text"><span class="sl-given">{escape(given)}</span>{escape(new)}</div>'


def bars(rows: Sequence[tuple[str, float]], shown: str = "{:.1%}") -> str:
    """A bar for each name, as long as its number is beside 1, or beside the largest if one is above 1.

    Negative numbers have a bar of another colour.
    """
    most = max([1.0, *(abs(value) for _, value in rows)])
    cells = [
        f'<span>{escape(name)}</span><div class="sl-bar"><div class="{"sl-against" if value < 0 else ""}" '
        f'style="width: {100 * abs(value) / most:.2f}%"></div></div><span>{escape(shown.format(value))}</span>'
        for name, value in rows
    ]
    return f'<div class="sl-bars">{"".join(cells)}</div>'


def marks(pieces: Sequence[str], weights: Sequence[float], words: bool = False) -> str:
    """Pieces of a text, each the darker the larger its weight is; negative weights have another colour.

    Args:
        pieces: The pieces.
        weights: A number for each; the one that is largest without its sign is darkest.
        words: The pieces are words, which stand apart, or the ends of words, which begin with ##, as in BERT.
    """
    most = max([1e-12, *map(abs, weights)])
    spans = []
    for piece, weight in zip(pieces, weights, strict=True):
        colour = "76 120 168" if weight >= 0 else "209 96 94"
        style = f"background: rgb({colour} / {85 * abs(weight) / most:.0f}%)"
        apart, shown = words and not piece.startswith("##"), piece.removeprefix("##") if words else piece
        spans.append(f'{" " if apart else ""}<span style="{style}" title="{weight:.4f}">{escape(shown)}</span>')
    return f'<div class="sl-marks">{"".join(spans)}</div>'


def tags(words: Sequence[str], labels: Sequence[str], colours: Sequence[str | None]) -> str:
    """Words, each above its label; a colour is CSS's, None is grey."""
    spans = []
    for word, label, colour in zip(words, labels, colours, strict=True):
        style = "" if colour is None else f' style="background: {colour}"'
        spans.append(f"<span{style}>{escape(word)}<small>{escape(label)}</small></span>")
    return f'<div class="sl-tags">{"".join(spans)}</div>'


def table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table."""
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f'<table class="sl-table"><tr>{head}</tr>{body}</table>'


def folded(words: str, content: str) -> str:
    """What is shown after a click."""
    return f"<details><summary>{escape(words)}</summary>{content}</details>"


def wide(content: str) -> str:
    """Pictures in their own size; of wider ones than the page a part is shown, and the rest by scrolling."""
    return f'<div class="sl-wide">{content}</div>'


def address(kind: str, content: bytes) -> str:
    """A file as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def picture(figure: Any, words: str, dpi: int = 90) -> str:
    """A figure of matplotlib, with words for who cannot see it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=dpi)
    return image(buffer.getvalue(), words)


def image(content: bytes, words: str, kind: str = "image/png") -> str:
    """A picture's file, with words for who cannot see it."""
    return f'<img class="sl-picture" alt="{escape(words)}" src="{address(kind, content)}">'


def sound(content: bytes) -> str:
    """A WAV file, to play."""
    return f'<audio controls src="{address("audio/wav", content)}"></audio>'


def download(name: str, kind: str, content: bytes) -> str:
    """A file to keep."""
    link = f'<a class="sl-file" download="{escape(name)}" href="{address(kind, content)}">{escape(name)}</a>'
    return f'<div class="sl-note">to keep: {link}</div>'


def visible(piece: str) -> str:
    """The text of a token, with symbols for spaces, line ends and tabs."""
    return "".join(SYMBOLS.get(character, character) for character in piece)
