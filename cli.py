"""The command line: ``seqlight fit|validate|test|predict``, ``sweep`` and ``configs``."""

import logging
import os
import sys
import warnings

from seqlight.core.errors import UserError

COMMANDS = {
    "fit": "train a model: --config RECIPE, or --ckpt_path to go on with an interrupted run",
    "validate": "measure a checkpoint on the validation data: --ckpt_path best",
    "test": "measure a checkpoint on the test data: --ckpt_path best",
    "predict": "use a checkpoint on new data: --ckpt_path best",
}
HELP = f"""usage: seqlight COMMAND [options]

{chr(10).join(f"  {name:<9} {text}" for name, text in COMMANDS.items())}
  sweep     run a study of many trainings: seqlight sweep SWEEP; with --report its table so far
  configs   list the recipes; `seqlight configs copy NAME` starts one of your own

  seqlight COMMAND --help                all options of a command
  seqlight fit --model.help CLASS        the options of a model (--data.help of its data)
  seqlight fit --config NAME --print_config=skip_default
  seqlight --print_completion bash|zsh   shell completion
  seqlight --version
  --debug (or SEQLIGHT_DEBUG=1)          show where an error came from
"""


def main() -> None:
    """Runs one command and exits: 0 done, 2 a user's mistake, 1 a failure, 130 and 143 after Ctrl-C and SIGTERM."""
    words = sys.argv[1:]
    if "--debug" in words:
        words.remove("--debug")
        os.environ["SEQLIGHT_DEBUG"] = "1"  # the processes of a DDP run see it too
    try:
        sys.exit(dispatch(words))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if os.environ.get("SEQLIGHT_DEBUG") or not is_mistake(error):
            raise
        sys.exit(refuse(error))


def dispatch(words: list[str]) -> int:
    """Runs the command that the words name; what needs no torch is answered without it."""
    match words:
        case [] | ["--help" | "-h", *_] | ["sweep" | "configs", "--help" | "-h", *_]:
            print(HELP, end="")
        case ["--version", *_]:
            from seqlight import __version__

            print(__version__)
        case ["configs", *rest]:
            from seqlight.recipes import command

            print(command(rest))
        case ["sweep", *rest]:
            from seqlight.sweep import command

            print(command(rest))
        case ["--print_completion", shell, *_]:
            os.environ["JSONARGPARSE_ADD_PRINT_COMPLETION_ARGUMENT"] = "true"
            from seqlight.trainer_cli import SeqCLI

            SeqCLI(["--print_completion", f"shtab-{shell}"], commands=tuple(COMMANDS))
        case _:
            return train_test_predict(words)
    return 0


def train_test_predict(words: list[str]) -> int:
    """Lightning's commands."""
    from seqlight.arguments import prepare

    sys.argv[1:] = prepare(words, tuple(COMMANDS))
    quieten()
    from seqlight.trainer_cli import GracefulStop, SeqCLI

    try:
        SeqCLI()
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):  # Lightning turns Ctrl-C outside training into exit code 1
            return 130
        raise
    return 128 + GracefulStop.received if GracefulStop.received else 0


def is_mistake(error: Exception) -> bool:
    """Whether it is something in the user's hands: a value, a file, a setting of the Trainer, W&B without a key."""
    if isinstance(error, UserError | FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError):
        return True
    name, text = type(error).__name__, str(error)
    return name in ("MisconfigurationException", "UsageError") or "Error(s) in loading state_dict" in text


def refuse(error: Exception) -> int:
    """Says what is wrong in one line."""
    text = " ".join(str(error).split())
    if "Error(s) in loading state_dict" in text:
        text = (
            f"the checkpoint's weights do not fit the model; leave out --model options that change its shape ({text})"
        )
    if "No API key configured" in text:  # W&B
        text = "logger/wandb needs an account: run `wandb login`, or set WANDB_MODE=offline to log without one"
    sys.stderr.write(f"seqlight: error: {text}\n  (--debug shows where)\n")
    return 2


def quieten() -> None:
    """Leaves out Lightning's advertisements and warnings that ask nothing of the user."""

    class NoTips(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            return "Tip:" not in record.getMessage() and "litlogger" not in record.getMessage()

    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(NoTips())
    for message in (
        ".*LeafSpec.*",
        ".*does not have many workers.*",
        ".*callbacks used to create the checkpoint.*",
        ".*training batches .* smaller than the logging interval.*",
        ".*Experiment logs directory.*not empty.*",
    ):
        warnings.filterwarnings("ignore", message)


if __name__ == "__main__":
    main()
