"""The words of a command line before any parser sees them."""

from seqlight.checkpoints import find_checkpoint
from seqlight.errors import UserError
from seqlight.recipes import config_path


def option(words: list[str], name: str) -> tuple[int, str] | None:
    """Place and value of an option's last appearance, as ``--name value`` or ``--name=value``."""
    found = None
    for at, word in enumerate(words):
        if word == name and at + 1 < len(words):
            found = (at + 1, words[at + 1])
        elif word.startswith(f"{name}="):
            found = (at, word.partition("=")[2])
    return found


def prepare(words: list[str], commands: tuple[str, ...]) -> list[str]:
    """The same command with its options after it, recipes and checkpoints as paths.

    Done on ``sys.argv`` itself, with which Lightning starts the other processes of a DDP run, so that all of them mean
    the same files.

    Raises:
        UserError: No such command, config or checkpoint, or a checkpoint is missing where one is needed.
    """
    at = next((i for i, word in enumerate(words) if word in commands), None)
    if at is None:
        raise UserError(f"{words[0]}: no such command; there are {', '.join(commands)}, sweep and configs")
    command, words = words[at], words[:at] + words[at + 1 :]
    for i, word in enumerate(words):
        if word in ("--config", "-c") and i + 1 < len(words):
            words[i + 1] = config_path(words[i + 1])
        elif word.startswith("--config="):
            words[i] = f"--config={config_path(word.partition('=')[2])}"
    if given := option(words, "--ckpt_path"):
        root = option(words, "--trainer.default_root_dir")
        path = str(find_checkpoint(given[1], command, root[1] if root else "runs"))
        words[given[0]] = path if words[given[0]] == given[1] else f"--ckpt_path={path}"
    elif command != "fit" and not any(word.startswith(("--help", "-h", "--print_", "--model.help")) for word in words):
        raise UserError(f"{command} needs a trained model: --ckpt_path best, last, a run's folder or a checkpoint file")
    return [command, *words]
