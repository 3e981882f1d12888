"""The configs that come with the application: found by name, listed, copied. Imports nothing heavy."""

import difflib
import shlex
import shutil
from importlib.resources import files
from pathlib import Path

import yaml

from seqlight.core.checkpoint_file.tree import TreeError, check_tree
from seqlight.core.errors import UserError
from seqlight.core.files.paths import expanded
from seqlight.core.yaml_text import read_settings


def find_configs() -> Path:
    """The folder of the recipes: inside an installed package, or beside the package in the repository."""
    installed = Path(str(files("seqlight"))) / "configs"
    return installed if installed.is_dir() else Path(__file__).resolve().parents[1] / "configs"


CONFIGS = find_configs()
DEFAULTS = CONFIGS / "trainer" / "defaults.yaml"
MAX_BYTES, MOST_SETTINGS = 1_000_000, 100_000
OVERLAYS = ("trainer", "logger", "sweeps")  # folders of configs that are no recipes


def recipe_path(name: str) -> Path | None:
    """The file of a recipe such as ``parity/lstm_last``, with or without ``.yaml``, or None."""
    for candidate in (CONFIGS / name, CONFIGS / f"{name}.yaml"):
        if candidate.is_file() and candidate.resolve().is_relative_to(CONFIGS):
            return candidate
    return None


def config_path(value: str) -> str:
    """What ``--config`` names: a file, or a recipe of ours by name. The text of a config, in braces, stays as it is."""
    if value.startswith("{"):
        return value
    if (path := expanded(value)).is_file():
        check_yaml(path)
        return str(path) if value.startswith("~") else value
    if recipe := recipe_path(value.removeprefix("configs/")):
        return str(recipe)
    raise UserError(
        f"--config {value}: no such file and no recipe of that name; {nearest(value)}"
        "`seqlight configs` lists the recipes"
    )


def nearest(name: str) -> str:
    """A remark with the recipe whose name is most like this one, or nothing."""
    names = [path.relative_to(CONFIGS).with_suffix("").as_posix() for path in CONFIGS.rglob("*.yaml")]
    close = difflib.get_close_matches(name.removeprefix("configs/").removesuffix(".yaml"), names, n=1, cutoff=0.6)
    return f"did you mean {close[0]}? " if close else ""


def check_yaml(path: Path, given_by: str = "--config") -> None:
    """Refuses what is no config at all, by its name; the parser would not say which file it was.

    Args:
        path: The file.
        given_by: The option or the command that names it, for messages.
    """
    if path.stat().st_size > MAX_BYTES:
        raise UserError(f"{given_by} {path}: {path.stat().st_size} bytes are no config; at most {MAX_BYTES} are read")
    try:
        content = read_settings(path.read_text(encoding="utf-8"))
        check_tree(content, MOST_SETTINGS)
    except TreeError as error:
        raise UserError(f"{given_by} {path}: {error}, and is no config") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{given_by} {path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(f"{given_by} {path}: holds no settings (key: value)")


def experiment_name(config: str) -> str | None:
    """``parity/lstm_last`` for configs/parity/lstm_last.yaml, the stem for a file of one's own, None for an overlay.

    None as well for the text of a config, in braces, which has no name.
    """
    if config.startswith("{"):
        return None
    path = Path(config).resolve()
    if not path.is_relative_to(CONFIGS):
        return None if path.parent.name in OVERLAYS else path.stem
    name = path.relative_to(CONFIGS).with_suffix("")
    return None if name.parts[0] in OVERLAYS else name.as_posix()


def description(path: Path) -> str:
    """A config's first comment line."""
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def listing() -> str:
    """Every recipe and overlay with one line each."""
    names = {path: path.relative_to(CONFIGS).with_suffix("").as_posix() for path in sorted(CONFIGS.rglob("*.yaml"))}
    names.pop(DEFAULTS, None)
    width = max(map(len, names.values()), default=0)
    recipes = [path for path in names if path.relative_to(CONFIGS).parts[0] not in OVERLAYS]
    lines = ["recipes (seqlight fit --config NAME):"]
    lines += [f"  {names[path]:<{width}}  {description(path)}" for path in recipes]
    lines += ["sweeps (seqlight sweep NAME):"]
    lines += [f"  {name:<{width}}  {description(path)}" for path, name in names.items() if name.startswith("sweeps/")]
    lines += ["overlays (a further --config NAME after the recipe):"]
    overlays = [path for path in names if names[path].startswith(("trainer/", "logger/"))]
    lines += [f"  {names[path]:<{width}}  {description(path)}" for path in overlays]
    return "\n".join(lines)


def copy(name: str, destination: str | None) -> Path:
    """Copies a recipe to start one's own; an existing file is never overwritten."""
    source = recipe_path(name.removeprefix("configs/"))
    if source is None:
        raise UserError(f"configs copy {name}: no recipe of that name; {nearest(name)}`seqlight configs` lists them")
    target = expanded(destination or source.name)
    if target.is_dir():
        target = target / source.name
    if target.exists():
        raise UserError(f"configs copy: {target} exists already; give another name as the last argument")
    if not target.parent.is_dir():
        raise UserError(f"configs copy: the folder {target.parent} does not exist")
    shutil.copyfile(source, target)
    return target


def command(words: list[str]) -> str:
    """``seqlight configs [copy NAME [FILE]]``: what to print."""
    match words:
        case []:
            return listing()
        case ["copy", name, *rest] if len(rest) <= 1:
            target = copy(name, rest[0] if rest else None)
            return f"{target} is yours to edit\nnext: seqlight fit --config {shlex.quote(str(target))}"
        case _:
            raise UserError(f"configs {' '.join(words)}: use `seqlight configs` or `seqlight configs copy NAME [FILE]`")
