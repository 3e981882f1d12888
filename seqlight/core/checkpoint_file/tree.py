"""Plain data that stays what it seems: no list that holds itself, none nested too deep, and not too many values."""

from collections.abc import Iterator
from typing import Any

MOST_DEPTH = 64
END = object()


class TreeError(ValueError):
    """What is wrong with the data, as half a sentence."""


def check_tree(tree: Any, most: int) -> None:
    """Refuses dicts, lists and tuples that hold themselves, are nested too deep, or stand for too many values.

    Args:
        tree: The data.
        most: Number of values in all, those of a list that stands at two places counted twice.

    Raises:
        TreeError: It is refused.
    """
    nodes = 0
    path: list[tuple[int, Iterator[Any]]] = [(id(tree), children(tree))]
    open_now = {id(tree)}
    while path:
        own, rest = path[-1]
        child = next(rest, END)
        if child is END:
            path.pop()
            open_now.discard(own)
            continue
        nodes += 1
        if nodes > most:
            raise TreeError(f"stands for more than {most:,} values")
        if isinstance(child, dict | list | tuple) and child:
            if id(child) in open_now:
                raise TreeError("has a list or a mapping that holds itself")
            if len(path) >= MOST_DEPTH:
                raise TreeError(f"has lists that are nested more than {MOST_DEPTH} deep")
            open_now.add(id(child))
            path.append((id(child), children(child)))


def children(value: Any) -> Iterator[Any]:
    """The values of a dict, a list or a tuple; nothing of others."""
    if isinstance(value, dict):
        return iter(value.values())
    return iter(value if isinstance(value, list | tuple) else ())
