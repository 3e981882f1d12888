"""A user's mistake, and how jsonargparse's account of one becomes a single line."""

import re


class UserError(Exception):
    """Something the user can put right: shown as one line, without a traceback, with exit code 2."""


def one_line(message: str) -> str:
    """jsonargparse's message of many lines, less what the unions of types add, in one.

    The innermost line says what is wrong; the keys on the way to it say where.
    """
    keys: list[str] = []
    rest: list[str] = []
    noise = r"(Expected a <class 'NoneType'>|Does not validate against any|Subtypes?:|Errors?:|Given value|Problem with given class_path)"
    for raw in message.splitlines():
        line = raw.strip().removeprefix("- ").strip()
        if found := re.match(r"Parser key \"([\w.+-]+)\":\s*(.*)", line):
            keys.append(found[1])
            line = found[2]
        if not line or re.match(noise, line):
            continue
        rest.append(line)
    said = " ".join(dict.fromkeys(rest))
    return f"{'.'.join(keys)}: {said}" if keys else said
