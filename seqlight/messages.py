"""How jsonargparse's account of a mistake becomes a single line."""

import re


def one_line(message: str) -> str:
    """jsonargparse's message of many lines, less what the unions of types add, in one.

    The innermost line says what is wrong; the keys on the way to it say where.
    """
    keys: list[str] = []
    said: list[str] = []
    wanted: list[str] = []
    given = ""
    for raw in message.splitlines():
        line = raw.strip().removeprefix("- ").strip()
        if found := re.match(r"Parser key \"([\w.+-]+)\":\s*(.*)", line):
            keys.append(found[1])
            line = found[2]
        if found := ALTERNATIVE.fullmatch(line):
            wanted.append(A_LIST if found[1] == "list" else found[1] or f"one of {found[2]}")
        elif line.startswith("Given value: "):
            given = re.sub(r"NestedArg\(key=.*, val='?(.*?)'?\)$", r"\1", line.removeprefix("Given value: "))
        elif line and not NOISE.match(line):
            said.append(line)
    if wanted and not said:  # nothing is known but the types that would do
        said.append(f"expected {' or '.join(wanted)}, not {given}")
    text = " ".join(dict.fromkeys(said))
    for pattern, plain in PLAINER:
        text = re.sub(pattern, plain, text)
    return f"{'.'.join(keys)}: {text}" if keys else text


A_LIST = """a list, in quotes: '["...", "..."]'"""
ALTERNATIVE = re.compile(r"Expected a (?:<class '(?!NoneType)(\w+)'>|typing\.Literal\[(.*)\])")
NOISE = re.compile(
    r"Expected a <class 'NoneType'>|Does not validate against any|Subtypes?:|Errors?:|Given value|"
    r"Problem with given class_path|Expected a path but"
)
PLAINER = (
    (r"Expected a <class '(\w+)'>\. Got value: ", r"expected \1, not "),
    (r"Expected a typing\.Literal\[(.*?)\]\. Got value: ", r"expected one of \1, not "),
    (r"Expected a <class 'list'>\.?( Got value: )?", f"expected {A_LIST}; not "),
    (r"Expected a dot import path string: (\S+)", r"no class \1 is known"),
    (
        r"You selected an invalid strategy name: `strategy='(.*?)'`.*",
        r"trainer.strategy: expected one of auto, ddp, ddp_spawn, ddp_find_unused_parameters_true, fsdp, deepspeed "
        r"or another of Lightning's, not \1",
    ),
    (
        r"You selected an invalid accelerator name: `accelerator='(.*?)'`. Available",
        r"trainer.accelerator: no \1; available",
    ),
    (r"the following arguments are required: (fit\.)?model", "no experiment given: add --config NAME"),
)
