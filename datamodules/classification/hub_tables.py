"""Tables of the Hugging Face hub: the rows of each split, with names in place of the numbers of classes."""

from typing import Any

from seqlight.core.errors import UserError, reason_of


def hub_table(hub: str, revision: str | None, instead: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of a data set's splits, "train" and others, a dictionary each.

    Args:
        hub: Data set such as ``stanfordnlp/imdb``; ``owner/name:config`` where it has several.
        revision: Branch, tag or commit; by default the newest. ``refs/convert/parquet`` serves old data sets that were
            scripts.
        instead: What to do without a network, for the message.

    Returns:
        Columns of classes hold the classes' names, None where a row has none.

    Raises:
        UserError: It cannot be loaded.
    """
    import datasets

    name, _, config = hub.partition(":")
    try:
        splits = datasets.load_dataset(name, config or None, revision=revision)
        return {split: _rows(table) for split, table in splits.items()}
    except Exception as error:  # the hub's client raises whatever its layers do: OSError, RuntimeError, httpx's own
        raise UserError(
            f"text.hub {hub} could not be loaded ({type(error).__name__}: {reason_of(error)}); {instead}"
        ) from error


def _rows(table: Any) -> list[dict[str, Any]]:
    found = ((column, names_of(feature)) for column, feature in table.features.items())
    names = {column: held for column, held in found if held is not None}
    return [
        {column: _named(value, names[column]) if column in names else value for column, value in row.items()}
        for row in table
    ]


def names_of(feature: Any) -> list[str] | None:
    """The names of the classes that a column holds, one or a list in each row; None where it holds something else."""
    return getattr(feature, "names", None) or getattr(getattr(feature, "feature", None), "names", None)


def _named(value: Any, names: list[str]) -> Any:
    if isinstance(value, list):
        return [_named(one, names) for one in value]
    return names[value] if value is not None and value >= 0 else None
