"""The arguments of a class, those included that its constructor passes on to its base by ``**``."""

import inspect


def parameters_of(cls: type) -> dict[str, inspect.Parameter]:
    """Parameters by name, with evaluated annotations, as jsonargparse offers them on the command line."""
    found: dict[str, inspect.Parameter] = {}
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        own = dict(inspect.signature(base.__init__, eval_str=True).parameters)  # type: ignore[misc]
        own.pop("self", None)
        passes_on = [name for name, parameter in own.items() if parameter.kind is parameter.VAR_KEYWORD]
        found = {name: parameter for name, parameter in own.items() if name not in passes_on} | found
        if not passes_on:
            break
    return found
