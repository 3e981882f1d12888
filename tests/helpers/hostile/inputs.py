"""Draws an input: the words of a command, and the files that it is given."""

import functools
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from helpers.hostile.checkpoints import write_changed
from helpers.hostile.children import CANARY, run_child
from helpers.hostile.files import write_spoiled
from helpers.hostile.sweeps import write_study, write_sweep
from helpers.hostile.systems import QUIET, SYSTEMS
from helpers.hostile.uses import answer, draw_answers, load, write_spoiled_folder
from helpers.hostile.values import FLAG_VALUES

BOOK = "".join(f"The fox {number} sees the river, and the {word}.\n" for number in range(100) for word in "abc")
LABELLED = ("--config=reviews/mean", "--model.net.d_model=8", "--data.path=PATH")
STREAMED = (
    "--config=text/stream", "--data.tokenizer=byte", "--data.seq_len=16", "--data.batch_size=4",
    "--data.stream.epoch_size=8", "--data.held_out.windows=4", "--data.held_out.fraction=0.5",
    *SYSTEMS["GPT"].words[5:], "--data.path=PATH",
)  # fmt: skip
PAIRED = (
    "--config=translation/multi30k_gru", *SYSTEMS["translation"].words[4:], "--data.tokenizer=char",
    "--data.source=source", "--data.target=target",
)  # fmt: skip
NOTED = ("--config=music/lstm", "--data.path=mid", *SYSTEMS["music events"].words[1:])
ADAPTING = ("GPT", "RNN LM", "streamed GPT")  # what learns from the text that it reads
# By kind: whose file it is, the words of the command with PATH for the file, the form of the file, and its name.
FILES: dict[str, tuple[str, tuple[str, ...], str, str]] = {
    "label file (CSV)": ("classifier", LABELLED, "csv", "a.csv"),
    "label file (TSV)": ("classifier", LABELLED, "tsv", "a.tsv"),
    "label file (JSON lines)": ("classifier", LABELLED, "jsonl", "a.jsonl"),
    "label file (TREC)": (
        "classifier", ("--config=questions/rnn", "--model.net.d_model=8", "--data.path=."), "trec", "train_5500.label"
    ),
    "review zip": ("classifier", LABELLED, "zip", "a.zip"),
    "word vectors": (
        "classifier", ("--config=questions/rnn", "--model.net.d_model=8", "--model.net.embedding.vectors=PATH"),
        "vectors", "a.txt",
    ),
    "text": ("GPT", ("--config=text/gpt_char", *SYSTEMS["GPT"].words, "--data.path=PATH"), "txt", "a.txt"),
    "stream": ("GPT", STREAMED, "jsonl", "a.jsonl"),
    "SentencePiece model": (
        "RNN LM", ("--config=text/lstm_char", *SYSTEMS["RNN LM"].words, "--data.tokenizer_path=PATH"), "model",
        "a.model",
    ),
    "pairs": ("translation", (*PAIRED, "--data.path=PATH"), "pairs", "a.tsv"),
    "series": (
        "forecast", ("--config=forecast/gru", "--data.path=PATH", "--data.lookback=24", "--data.horizon=4"), "series",
        "a.csv",
    ),
    "table": ("mlp", ("--config=mlp/moons", "--data.path=PATH", "--model.net.hidden_sizes=[4]"), "table", "a.csv"),
    "CoNLL-U": (
        "tagger", ("--config=tagging/ewt_lstm", "--data.path=PATH", "--data.columns.label=4"), "conllu", "a.conllu"
    ),
    "MIDI": ("music events", NOTED, "midi", "mid/a.mid"),
    "chorales": (
        "music frames", ("--config=music/jsb_lstm", "--data.path=PATH", *SYSTEMS["music frames"].words), "chorales",
        "a.json",
    ),
}  # fmt: skip
ENDLESS = ("-1", "1000000000", "2147483648", "9223372036854775807", "99999999999999999999")  # epochs


@dataclass(frozen=True)
class Input:
    """A command with its files.

    Attributes:
        kind: What is hostile: "checkpoint", "recipe", "flag", "export folder", "page", "sweep", "study", or one of
            :data:`FILES`.
        system: Whose it is.
        how: How it was spoiled.
        words: The command.
        program: What is run in place of the command; the words describe it.
    """

    kind: str
    system: str
    how: str
    words: tuple[str, ...]
    program: Callable[[], None] | None = None


def train_all(folder: Path) -> dict[str, Path]:
    """A last checkpoint of each system, trained in children, and the text of those that read one."""
    (folder / "book.txt").write_text(BOOK)
    for name, system in SYSTEMS.items():
        words = ["fit", "--config", system.recipe, *QUIET, *system.words, "--experiment", name.replace(" ", "_")]
        outcome = run_child(words, folder)
        assert outcome.code == 0, outcome.said
    return {name: next(folder.glob(f"runs/{name.replace(' ', '_')}/*/checkpoints/last.ckpt")) for name in SYSTEMS}


def draw_checkpoint(folder: Path, seeds: dict[str, Path], rng: random.Random) -> Input:
    """A checkpoint that was tampered with, tested, used, resumed, averaged or exported."""
    name = rng.choice(sorted(seeds))
    how = write_changed(seeds[name], folder / "a.ckpt", rng)
    command = rng.choice(("test", "fit", "fit", "predict", "validate", "average", "export"))
    words: tuple[str, ...] = (command, "--ckpt_path=a.ckpt", *QUIET[1:])
    if command == "fit":
        words += ("--trainer.max_epochs=2",)
    elif command == "predict":
        words += SYSTEMS[name].use
    elif command == "average":
        words = ("average", "a.ckpt", str(seeds[name]), "--output=b.ckpt")
    elif command == "export":
        words = ("export", "--ckpt_path=a.ckpt", "--to=out", f"--format={rng.choice(('safetensors', 'transformers'))}")
    return Input("checkpoint", name, how, words)


def draw_recipe(folder: Path, seeds: dict[str, Path], rng: random.Random) -> Input:
    """A config whose values, keys or text were tampered with."""
    from seqlight.recipes import recipe_path

    name = rng.choice(sorted(seeds))
    path = recipe_path(SYSTEMS[name].recipe)
    assert path is not None
    lines = path.read_text().splitlines()
    at = rng.randrange(1, len(lines))
    key, colon, _ = lines[at].partition(":")
    bombs = (
        "[" * 5000,
        "a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(
            f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]" for n in range(9)
        ),
        "&a [*a]", "a: &a {b: *a}", "? [a]\n: b", "!!python/object/apply:os.system ['touch executed']", "{" * 3000,
        "\x00", "- a", "3", "a: 1\na: 2", "<<: *x", f"class_path: {CANARY}.Canary", "9" * 5000, "\t- a", "'",
        "%YAML 9.9",
    )  # fmt: skip
    match rng.randrange(4):
        case 0:
            lines[at], how = f"{key}{colon} {rng.choice(FLAG_VALUES)}", "value"
        case 1:
            lines[at], how = (
                lines[at].replace(key.strip(), rng.choice(("x", "class_path", "", "init_args", "3")), 1),
                "key",
            )
        case 2:
            lines, how = [rng.choice(bombs)], "text"
        case _:
            lines[at], how = f"{key}: {rng.choice(bombs)}", "nested text"
    (folder / "a.yaml").write_text("\n".join(lines) + "\n", errors="replace")
    return Input("recipe", name, how, ("fit", "--config=a.yaml", *QUIET, *SYSTEMS[name].words))


def options_of(name: str) -> list[str]:
    """The options of ``fit`` with a system's recipe."""
    if name not in _OPTIONS:
        _OPTIONS[name] = _found_options(SYSTEMS[name].recipe)
    return _OPTIONS[name]


_OPTIONS: dict[str, list[str]] = {}


def _found_options(recipe: str) -> list[str]:
    """The leaves of the recipe's whole config."""
    import io
    import sys
    from contextlib import redirect_stdout, suppress

    import yaml

    from seqlight.main import main

    said, before = io.StringIO(), sys.argv
    sys.argv = ["seqlight", "fit", "--config", recipe, "--print_config"]
    with redirect_stdout(said), suppress(SystemExit):
        main()
    sys.argv = before
    found: list[str] = []

    def walk(value: object, place: str) -> None:
        if isinstance(value, dict) and value:
            for key, held in value.items():
                walk(held, f"{place}.{key}" if place else str(key))
        else:
            found.append(place.replace(".init_args.", "."))

    walk(yaml.safe_load(said.getvalue()), "")
    return [name for name in found if not name.endswith("class_path")]


def draw_flag(folder: Path, seeds: dict[str, Path], rng: random.Random) -> Input:
    """A value of one option."""
    words: tuple[str, ...]
    name = rng.choice(sorted(seeds))
    option, value = rng.choice(options_of(name)), rng.choice(FLAG_VALUES)
    if option == "trainer.max_epochs" and value in ENDLESS:
        value = "1"
    system = SYSTEMS[name]
    if name in ADAPTING and rng.random() < 0.25:
        option = rng.choice([found for found in options_of(name) if found.startswith("adapt.")])
        words = ("test", f"--ckpt_path={seeds[name]}", *QUIET[1:], "--adapt", f"--{option}={value}")
        return Input("flag", name, option, words)
    if rng.random() < 0.25:
        words = ("predict", f"--ckpt_path={seeds[name]}", *QUIET[1:], *system.use)
        option = rng.choice(
            [found for found in options_of(name) if found.startswith(("decoding", "data.", "trainer."))]
        )
    else:
        words = ("fit", "--config", system.recipe, *QUIET, *system.words)
    return Input("flag", name, option, (*words, f"--{option}={value}"))


def draw_file(folder: Path, seeds: dict[str, Path], rng: random.Random) -> Input:
    """A file to train on, or that a training needs."""
    kind = rng.choice(sorted(kind for kind, (system, *_) in FILES.items() if system in seeds))
    system, words, form, name = FILES[kind]
    how = write_spoiled(form, folder / name, rng)
    if kind == "label file (TREC)":
        shutil.copyfile(folder / name, folder / "TREC_10.label")
    if kind == "MIDI" and rng.random() < 0.7:
        from helpers.hostile.files import whole

        for number in range(12):
            (folder / f"mid/good{number}.mid").write_bytes(whole("midi", rng))
    return Input(kind, system, how, ("fit", *(word.replace("PATH", name) for word in words), *QUIET))


def draw_use(folder: Path, seeds: dict[str, Path], rng: random.Random) -> Input:
    """An export folder that was tampered with, or what somebody gives on the page of a checkpoint."""
    name = rng.choice(sorted(seeds))
    if rng.random() < 0.5:
        how = write_spoiled_folder(seeds[name], folder / "exported", rng)
        return Input("export folder", name, how, ("seqlight.load", "exported"), functools.partial(load, "exported"))
    given = draw_answers(seeds[name], folder, rng)
    return Input("page", name, repr(given)[:300], ("try", name), functools.partial(answer, seeds[name], given))


def draw_sweep(folder: Path, seeds: dict[str, Path], rng: random.Random) -> Input:
    """A sweep file, or the study of one."""
    if rng.random() < 0.7:
        return Input("sweep", "parity", write_sweep(folder / "a.yaml", rng), ("sweep", "a.yaml"))
    write_sweep(folder / "a.yaml", rng, spoil=False)
    how = write_study(folder / "runs/sweeps/s/study.log", rng)
    return Input("study", "parity", how, ("sweep", "a.yaml"))


DRAWS: dict[str, Callable[[Path, dict[str, Path], random.Random], Input]] = {
    "checkpoint": draw_checkpoint,
    "recipe": draw_recipe,
    "flag": draw_flag,
    "file": draw_file,
    "use": draw_use,
    "sweep": draw_sweep,
}


def draw(what: str, folder: Path, seeds: dict[str, Path], rng: random.Random) -> Input:
    """An input in a folder that is made for it.

    Args:
        what: One of :data:`DRAWS`.
        folder: The folder; it does not exist yet.
        seeds: A checkpoint of each system.
        rng: Draws everything.
    """
    folder.mkdir(parents=True)
    (folder / "book.txt").write_text(BOOK)
    (folder / f"{CANARY}.py").write_text("open('executed', 'w').close()\n\n\nclass Canary:\n    pass\n")
    return DRAWS[what](folder, seeds, rng)
