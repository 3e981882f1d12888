"""Sweep files that were tampered with, and the study that stands in a sweep's folder."""

import random
from pathlib import Path

import yaml
from helpers.hostile.checkpoints import CHANGES, changed_bytes
from helpers.hostile.systems import QUIET
from helpers.hostile.values import FLAG_VALUES

SMALL = {word.removeprefix("--").partition("=")[0]: word.partition("=")[2] for word in QUIET} | {
    "data.train_size": 64, "data.val_size": 32, "data.test_size": 32, "trainer.callbacks": [],
}  # fmt: skip
GRID = {"model.net.hidden_size": [4]}
SEARCH = {"model.input_noise": {"low": 0, "high": 0.5}}
LINES = (
    '{"op_code":0,"worker_id":"a","study_name":"s","directions":[2]}',
    '{"op_code":2,"worker_id":"a","study_id":0,"user_attr":{"shared":{}}}',
    '{"op_code":4,"worker_id":"a","study_id":0,"datetime_start":"2026-01-01T00:00:00.000000+00:00"}',
    '{"op_code":6,"worker_id":"a","trial_id":0,"state":1,"values":[0.5],"datetime_complete":"x"}',
    '{"op_code":8,"worker_id":"a","trial_id":0,"user_attr":{"combination":3}}',
)


def write_sweep(path: Path, rng: random.Random, spoil: bool = True) -> str:
    """Writes a sweep file of one trial, in which something was changed unless it is to be right; what."""
    sweep = {
        "name": "s", "config": ["parity/lstm_last"], "metric": "test/accuracy_last", "direction": "maximize",
        "report": {"columns": ["test/accuracy_last"], "curve": "train/loss", "success": {"test/loss": 0.1}},
        **rng.choice(({"grid": {**GRID}}, {"search": {key: {**space} for key, space in SEARCH.items()}, "trials": 1})),
        **rng.choice(({}, {"pruner": "median"}, {"seeds": ["model.net.hidden_size"]}, {"test": False})),
    }  # fmt: skip
    how = rng.choice(("key", "key", "value", "value", "entry gone", "entry added", "swapped")) if spoil else "right"
    if how == "key":
        sweep[rng.choice(sorted(sweep))] = yaml.safe_load(_harmless(rng.choice(FLAG_VALUES)))
    elif spoil:
        CHANGES[how](sweep, rng)
    if isinstance(sweep.get("trials"), int):
        sweep["trials"] = min(sweep["trials"], 2)  # a million trials take for ever, rightly
    sweep["set"] = dict(SMALL)  # what makes the training small
    path.write_text(yaml.dump(plain(sweep), allow_unicode=True), errors="replace")
    return how


def _harmless(text: str) -> str:
    """A text if YAML reads it, and the text in quotes if not."""
    try:
        yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return repr(text)
    return text


def plain(value: object, made: dict[int, object] | None = None) -> object:
    """A value as YAML has it; tensors and the like as their texts. What holds itself still does: YAML can say it."""
    made = {} if made is None else made
    if id(value) in made:
        return made[id(value)]
    if isinstance(value, dict):
        table: dict[object, object] = {}
        made[id(value)] = table
        table |= {plain(key) if isinstance(key, tuple) else key: plain(held, made) for key, held in value.items()}
        return table
    if isinstance(value, list | tuple):
        held: list[object] = []
        made[id(value)] = held
        held += [plain(one, made) for one in value]
        return held
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)[:200]


def write_study(path: Path, rng: random.Random) -> str:
    """Writes the file of a study, with lines that are damaged or say something else; how."""
    path.parent.mkdir(parents=True)
    lines = list(LINES[: rng.randrange(1, len(LINES) + 1)])
    at = rng.randrange(len(lines))
    how = rng.choice(("bytes", "line", "line", "cut"))
    if how == "line":
        lines[at] = rng.choice(("", "[]", "3", "null", "{}", '{"op_code":99}', lines[at].replace("0", "7"), lines[0]))
    content = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes({"bytes": changed_bytes(content, rng), "cut": content[:-5]}.get(how, content))
    return how
