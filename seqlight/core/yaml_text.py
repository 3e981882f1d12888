"""Settings as YAML text in which every string is read as a string again."""

import re
from typing import Any

import yaml

# Numbers to jsonargparse's reader of YAML, strings to PyYAML's, which would therefore write them without quotes.
SCIENTIFIC = re.compile(r"[-+]?(?:[0-9][0-9_]*)?\.?[0-9_]*[eE][-+]?[0-9]+")


class _QuotingDumper(yaml.SafeDumper):
    """Puts quotes around strings such as 1e3 too."""


_QuotingDumper.add_implicit_resolver("tag:yaml.org,2002:float", SCIENTIFIC, list("-+.0123456789"))


class _WithoutDates(yaml.SafeLoader):
    """Reads a date as a word, as jsonargparse's loader does."""

    yaml_implicit_resolvers = {  # noqa: RUF012  as PyYAML has it
        letter: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:timestamp"]
        for letter, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class _PythonLoader(_WithoutDates):
    """Reads numbers too as jsonargparse's loader does."""


_PythonLoader.add_implicit_resolver("tag:yaml.org,2002:float", SCIENTIFIC, list("-+.0123456789"))

# By such halves of characters Python keeps the bytes of a file's name that are no UTF-8. libyaml refuses their escapes.
HALF = re.compile(r"\\u[dD][89a-fA-F]")


def read_settings(text: str) -> Any:
    """YAML without dates: 2024-01-01 is a word."""
    return yaml.load(text, Loader=_WithoutDates)


def read_halves(text: str) -> Any:
    """YAML that holds escaped halves of characters, as :func:`yaml_text` writes them."""
    return yaml.load(text, Loader=_PythonLoader)


def yaml_text(value: Any, one_line: bool = False) -> str:
    """Plain data as YAML, in the order of its keys.

    Args:
        value: Numbers, strings, None, and lists and dicts of such.
        one_line: Brackets in place of lines and indentation.
    """
    options: dict[str, Any] = {"Dumper": _QuotingDumper, "sort_keys": False, "allow_unicode": True}
    if not one_line:
        return yaml.dump(value, **options)
    text = yaml.dump(value, default_flow_style=True, width=10**9, **options)
    return text.removesuffix("...\n").removesuffix("\n")
