"""Kinds of values in plain data, and how a value that is of another kind is named by its place."""

from collections.abc import Callable
from typing import Any

MOST_COUNT = 2**63 - 1  # what a tensor holds; a longer number could not be a position, a length or a seed
SHOWN = 60  # characters of a value in a message
Kind = Callable[[str, Any], None]


class MisfitError(Exception):
    """A value of another kind than is needed: its place, what it should be, and what it is."""

    def __init__(self, place: str, wanted: str, value: Any) -> None:
        shown = described(value)
        shown = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}..."
        super().__init__(f"`{place or 'the whole'}` must be {wanted}, not {shown}")


def described(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, str | int | float | None):
        return repr(value)
    shape = getattr(value, "shape", None)
    return f"a {type(value).__name__.lower()}" + (f" {tuple(shape)}" if shape is not None else "")


def anything(place: str, value: Any) -> None:
    """Any value at all."""


def check(kind: type | tuple[type, ...], wanted: str, place: str, value: Any) -> None:
    """A value of a type; True and False are no numbers."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise MisfitError(place, wanted, value)


def text(place: str, value: Any) -> None:
    """A word."""
    check(str, "text", place, value)


def boolean(place: str, value: Any) -> None:
    """True or False."""
    check(bool, "true or false", place, value)


def integer(place: str, value: Any) -> None:
    """A whole number of at most 63 bits."""
    check(int, "a whole number", place, value)
    if abs(value) > MOST_COUNT:
        raise MisfitError(place, "a whole number of at most 63 bits", value)


def count(place: str, value: Any) -> None:
    """A whole number from 0 on."""
    integer(place, value)
    if value < 0:
        raise MisfitError(place, "a count", value)


def number(place: str, value: Any) -> None:
    """A number, whole or not."""
    check((int, float), "a number", place, value)
    if isinstance(value, int):
        integer(place, value)


def tensor(place: str, value: Any) -> None:
    """A tensor."""
    import torch

    check(torch.Tensor, "a tensor", place, value)


def scalar(place: str, value: Any) -> None:
    """A number, or a tensor that holds one."""
    import torch

    if not isinstance(value, torch.Tensor) or value.numel() != 1:
        number(place, value)


def optional(kind: Kind) -> Kind:
    """The kind, or null."""

    def is_optional(place: str, value: Any) -> None:
        if value is not None:
            kind(place, value)

    return is_optional


def either(*kinds: Kind) -> Kind:
    """One of several kinds; the message is that of the last."""

    def is_either(place: str, value: Any) -> None:
        for kind in kinds[:-1]:
            try:
                kind(place, value)
            except MisfitError:
                continue
            return
        kinds[-1](place, value)

    return is_either


def listing(kind: Kind) -> Kind:
    """A list whose values are of one kind."""

    def is_listing(place: str, value: Any) -> None:
        check((list, tuple), "a list", place, value)
        for number, held in enumerate(value):
            kind(f"{place}[{number}]", held)

    return is_listing


def row(*kinds: Kind) -> Kind:
    """A list of so many values, each of its own kind."""

    def is_row(place: str, value: Any) -> None:
        check((list, tuple), "a list", place, value)
        if len(value) != len(kinds):
            raise MisfitError(place, f"a list of {len(kinds)} values", value)
        for number, (kind, held) in enumerate(zip(kinds, value, strict=True)):
            kind(f"{place}[{number}]", held)

    return is_row


def mapping(kind: Kind, keys: type | tuple[type, ...] = str) -> Kind:
    """A mapping whose values are of one kind."""

    def is_mapping(place: str, value: Any) -> None:
        check(dict, "a mapping", place, value)
        for name, held in value.items():
            check(keys, "a name", f"{place}.{name}"[:SHOWN], name)
            kind(f"{place}.{name}" if place else str(name), held)

    return is_mapping


def record(needed: dict[str, Kind] | None = None, also: dict[str, Kind] | None = None, closed: bool = False) -> Kind:
    """A mapping by the names in it.

    Args:
        needed: Names that must be there.
        also: Names that may be there.
        closed: Whether there may be no others.
    """
    needed, also = needed or {}, also or {}

    def is_record(place: str, value: Any) -> None:
        check(dict, "a mapping", place, value)
        for name in needed:
            if name not in value:
                raise MisfitError(place, f"a mapping with `{name}`", value)
        for name, held in value.items():
            inside = f"{place}.{name}" if place else str(name)
            if kind := needed.get(name) or also.get(name):
                kind(inside, held)
            elif closed:
                raise MisfitError(inside[:SHOWN], "an entry that is known", held)

    return is_record


def like(example: Any) -> Kind:
    """A value of the kind of another one: with its names, in lists as long as its own, of its tensors' shapes."""
    import torch

    match example:
        case bool() | None:
            return optional(boolean)
        case int():
            return count
        case float():
            return number
        case str():
            return text
        case torch.Tensor():
            return same_shape(example)
        case dict():
            return record({name: like(held) for name, held in example.items()}, closed=True)
        case list() | tuple():
            return row(*map(like, example))
    raise TypeError(f"a {type(example).__name__} is no plain value")


def same_shape(example: Any) -> Kind:
    """A tensor of the shape of another one, and with whole numbers where that has them."""

    def is_alike(place: str, value: Any) -> None:
        tensor(place, value)
        if value.shape != example.shape or value.is_floating_point() != example.is_floating_point():
            raise MisfitError(place, f"a tensor of {tuple(example.shape)} {example.dtype}".replace("torch.", ""), value)

    return is_alike
