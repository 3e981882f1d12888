"""Errors of jsonargparse, Lightning and the constructors, as one line that names the option."""

import contextlib
import dataclasses
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_type_hints

from lightning.pytorch.utilities.exceptions import MisconfigurationException

from seqlight.checkpoints import known_class
from seqlight.core.errors import UserError
from seqlight.core.signatures import parameters_of

A_LIST = """a list, in quotes: '["...", "..."]'"""
HEADINGS = (
    "Does not validate against any",
    "Subtype",
    "Error:",
    "Errors:",
    "Given value type",
    "Problem with given class_path",
)
UNRECOGNIZED = "unrecognized arguments: --"
REQUIRED = "the following arguments are required: "


class NamedError(UserError):
    """A value that a constructor refused, under the full name of its option."""


def one_line(message: str) -> str:
    """jsonargparse's message of many lines in one: the keys, then what is wrong with the value.

    For a union of types, jsonargparse lists every type with its error; the line lists the types alone. Of the values in
    values that it names, the line has the first, which is the innermost.
    """
    keys: list[str] = []
    said: list[str] = []
    expected: list[str] = []
    given = ""
    for raw in message.splitlines():
        line = raw.strip().removeprefix("- ")
        if line.startswith('Parser key "'):
            key, _, line = line.removeprefix('Parser key "').partition('":')
            keys.append(key)
            line = line.strip()
        if line.startswith("Expected a dot import path string: "):
            said.append(f"no class {line.rpartition(': ')[2]} is known")
        elif line.startswith("Expected a path but"):
            continue
        elif line.startswith("Expected a "):
            kind, got, value = line.removeprefix("Expected a ").partition(". Got value:")
            given = given or value.strip() or ("''" if got else "")
            if (name := name_of_type(kind)) is not None:
                expected.append(name)
        elif line.startswith("Given value: "):
            given = given or line.removeprefix("Given value: ")
            if given.startswith("NestedArg("):
                given = given.partition("val=")[2].removesuffix(")").strip("'")
        elif line and not line.startswith(HEADINGS):
            said.append(line)
    if expected and not said:
        quotes = " (put a word in quotes)" if "str" in expected and given[:1] not in "[{" else ""
        said.append(f"expected {' or '.join(dict.fromkeys(expected))}, not {given}{quotes}")
    text, key = " ".join(dict.fromkeys(said)), ".".join(dict.fromkeys(keys))
    if keys and text.startswith(UNRECOGNIZED):  # the parser of a class does not know which option the class has
        return text.replace(UNRECOGNIZED, f"{UNRECOGNIZED}{key}.").replace("did you mean ", f"did you mean --{key}.")
    before, required, names = text.partition(REQUIRED)
    if keys and required:  # nor under which option it lacks one
        text = f"{before}give {' and '.join(f'--{key}.{name}' for name in names.split(', '))}"
    return f"{key}: {text}" if keys else text


def name_of_type(kind: str) -> str | None:
    """jsonargparse's ``<class 'int'>`` and ``typing.Literal['a', 'b']`` in words; None for NoneType."""
    kind = kind.removesuffix(".")
    if kind.startswith("typing.Literal["):
        return f"one of {kind.removeprefix('typing.Literal[').removesuffix(']')}"
    name = kind.removeprefix("<class '").removesuffix("'>")
    return {"NoneType": None, "list": A_LIST}.get(name, name)


def naming_options(instantiator: Callable[..., Any], key: str | None) -> Callable[..., Any]:
    """An instantiator for jsonargparse that names the option when the constructor refuses a value.

    Args:
        instantiator: What builds the object.
        key: The option of the object, such as "model"; None takes the name of its class.
    """
    takes_links = "applied_instantiation_links" in inspect.signature(instantiator).parameters

    def build(cls: type, *args: Any, applied_instantiation_links: dict[str, Any], **kwargs: Any) -> Any:
        links = {"applied_instantiation_links": applied_instantiation_links} if takes_links else {}
        try:
            return instantiator(cls, *args, **links, **kwargs)
        except (ValueError, TypeError, MisconfigurationException) as error:
            raise NamedError(with_option(one_line(str(error)), key or cls.__name__, cls)) from error

    return build


def with_option(text: str, key: str, cls: type) -> str:
    """A message under its option, if it begins with an argument of the class, or with a field of a group of them.

    A group that several classes use, at different places, names itself by its class: "RecurrentConfig.dropout ...".
    """
    parameters = parameters_of(cls)
    argument = text.partition(" ")[0].rstrip(":").partition(".")[0]
    place = place_of(argument, {name: parameter.annotation for name, parameter in parameters.items()})
    if place is not None:
        text = text.replace(f"{argument}.", f"{place}.")
    elif argument not in parameters:
        return text
    if key in ("model", "data"):
        return f"{key}.{text}; see `seqlight fit --{key}.help {cls.__name__}`"
    return f"{key}.{text}"


def place_of(group: str, annotations: Mapping[str, Any]) -> str | None:
    """The option of a group of arguments, such as "net.rnn"; None if there is no such group.

    Args:
        group: The name of its class.
        annotations: The types of the arguments by name, those of groups among them.
    """
    for name, kind in annotations.items():
        if not dataclasses.is_dataclass(kind):
            continue
        if kind.__name__ == group:  # type: ignore[union-attr]
            return name
        if (inside := place_of(group, get_type_hints(kind))) is not None:
            return f"{name}.{inside}"
    return None


def as_user_error(error: Exception, config: Any) -> UserError:
    """What a constructor refused, as the user's mistake, under its option.

    A value of a group, which is built before its owner, and a value that the model takes from the data are named here;
    the others have been named where they were built.

    Args:
        error: The constructor's.
        config: The command's settings, with the class paths of ``model`` and ``data``.
    """
    if isinstance(error, NamedError):
        return error
    text = one_line(str(error))
    for key in ("data", "model"):
        cls = known_class(config.get(f"{key}.class_path"), object)
        if cls is not None and (named := with_option(text, key, cls)) != text:
            return UserError(named)
    return UserError(text)


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
    """Raises what Lightning and W&B call a misconfiguration as UserError."""
    try:
        yield
    except MisconfigurationException as error:
        raise UserError(one_line(str(error))) from error
    except ValueError as error:
        if "`val_check_interval`" not in str(error):  # which Lightning checks when it knows the number of batches
            raise
        raise UserError(f"trainer.{one_line(str(error)).replace('`', '')}") from error
    except Exception as error:
        wandb = sys.modules.get("wandb")  # imported by its logger alone
        if wandb is None or not isinstance(error, wandb.errors.UsageError):
            raise
        raise UserError(
            "logger/wandb needs an account: run `wandb login`, or set WANDB_MODE=offline to log without one "
            f"({one_line(str(error))})"
        ) from error
