"""What `seqlight --help` prints, and the commands beside Lightning's."""

import os

LIGHTNING_COMMANDS = {
    "fit": "train a model: --config RECIPE, or --ckpt_path to resume an interrupted run",
    "validate": "measure a checkpoint on the validation data: --ckpt_path best",
    "test": "measure a checkpoint on the test data: --ckpt_path best",
    "predict": "use a checkpoint on new data: --ckpt_path best",
}
HELP = f"""usage: seqlight COMMAND [options]

{chr(10).join(f"  {name:<9} {text}" for name, text in LIGHTNING_COMMANDS.items())}
  sweep     run a study of many trainings: seqlight sweep SWEEP; with --report its table so far;
            with --storage postgresql://USER@HOST/DATABASE machines share it over the network, and a trial whose
            process was silent for --grace_period SECONDS (by default 300) is run again; --to wandb writes a file
            for `wandb sweep` and runs nothing
  try       use a checkpoint on a page in the browser: seqlight try; with --ckpt_path best the newest at once
  average   write a checkpoint with the mean weights of others: seqlight average A.ckpt B.ckpt --output C.ckpt
  prove     is a trained parity net right at every length? seqlight prove --ckpt_path best
  bench     how quickly a checkpoint trains and is used here, by batch size: seqlight bench --ckpt_path best
  export    write a checkpoint for other programs: seqlight export --ckpt_path best --to FOLDER; --format safetensors
            (for seqlight.load), transformers (a GPT as GPT-2) or onnx
  doctor    what is installed, what works on this machine, and what to do about the rest
  configs   list the recipes; `seqlight configs copy NAME` starts one of your own

  seqlight COMMAND --help                all options of a command
  seqlight fit --model.help CLASS        the options of a model (--data.help of its data)
  seqlight fit --config NAME --print_config=skip_default
  seqlight --print_completion bash|zsh   shell completion
  seqlight --version
  --debug (or SEQLIGHT_DEBUG=1)          show the traceback of an error
"""


def other_command(words: list[str]) -> int | None:
    """Runs a command that is none of Lightning's; what needs no torch runs without importing it.

    Returns:
        The exit code; None if the words name one of Lightning's commands.
    """
    match words:
        case [] | ["--help" | "-h", *_] | ["sweep" | "configs" | "average", "--help" | "-h", *_]:
            print(HELP, end="")
        case ["--version", *_]:
            from seqlight import __version__

            print(__version__)
        case ["configs", *rest]:
            from seqlight.recipes import command

            print(command(rest))
        case ["average", *rest]:
            from seqlight.export.averaging import command

            print(command(rest))
        case ["prove", *rest]:
            from seqlight.inspection import proving

            return proving.command(rest)
        case ["bench", *rest]:
            from seqlight.inspection import bench

            return bench.command(rest)
        case ["export", *rest]:
            from seqlight.export.command import command as export

            return export(rest)
        case ["try", *rest]:
            from seqlight.web import command as web

            return web.command(rest)
        case ["doctor", *rest]:
            from seqlight.inspection import doctor

            return doctor.command(rest)
        case ["sweep", *rest]:
            from seqlight.sweep import command

            print(command(rest))
        case ["--print_completion", shell, *_]:
            os.environ["JSONARGPARSE_ADD_PRINT_COMPLETION_ARGUMENT"] = "true"
            from seqlight.command.trainer_cli import SeqCLI

            SeqCLI(["--print_completion", f"shtab-{shell}"], commands=tuple(LIGHTNING_COMMANDS))
        case _:
            return None
    return 0
