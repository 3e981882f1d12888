"""What the README says can be done."""

import re
import shlex

import pytest
from conftest import ROOT, Run

TEXT = (ROOT / "README.md").read_text()
COMMANDS = [line.partition("#")[0].strip() for line in TEXT.splitlines() if line.startswith("    seqlight ")]
# What a command on a checkpoint of another system than parity is run on: the system is known by a flag.
OTHERS = {
    "--data.prompts": (
        "text/gpt_char", "--model.net.d_model=16", "--data.windows.epoch_size=8", "--data.batch_size=4",
        "--data.windows.eval_size=4",
    ),
    "--data.prompt.source": (
        "music/lstm", "--data.source.num_etudes=12", "--data.windows.epoch_size=8", "--model.net.rnn.hidden_size=16",
    ),
    "--data.prompt.metre": (
        "music/lstm", "--data.source.num_etudes=30", "--data.tokens.signatures=true", "--data.windows.epoch_size=8",
        "--model.net.rnn.hidden_size=16",
    ),
    "--data.predict.texts": ("questions/lstm", "--data.cache_dir=cache", "--trainer.limit_train_batches=2"),
    "--data.texts": (
        "translation/multi30k_transformer", "--model.net.d_model=16", "--data.cache_dir=cache",
        "--decoding.max_new_tokens=4",
    ),
}  # fmt: skip


def test_the_commands_were_found() -> None:
    assert len(COMMANDS) >= 8


@pytest.mark.parametrize(
    "command", [c for c in COMMANDS if " fit " in c and "--ckpt_path" not in c and "help" not in c]
)
def test_training_commands_parse(run: Run, command: str) -> None:
    words = [word for word in shlex.split(command)[1:] if not word.startswith("--print_config")]
    shown = run(*words, "--print_config")
    assert shown.code == 0, shown.err


# Whether `prove` succeeds depends on the net, and `bench` takes its time: tests/seqlight/inspection/ has them, and
# tests/seqlight/export/ has `export`.
@pytest.mark.parametrize(
    "command",
    [
        c
        for c in COMMANDS
        if "--ckpt_path" in c and "lstm" not in c and c.split()[1] not in ("prove", "bench", "export")
    ],
)
def test_commands_on_a_checkpoint_run(run: Run, run_folder: object, command: str) -> None:
    words = shlex.split(command)[1:]
    for flag, (config, *small) in OTHERS.items():
        if flag in words:
            run("fit", f"--config={config}", *small, "--trainer.max_epochs=1", "--trainer.callbacks=[]")
    if words[0] != "predict":
        words += ["--trainer.callbacks=[]", "--data.test_max_length=50"]
    if words[0] == "fit":
        words = ["--trainer.max_epochs=2" if word.startswith("60") else word for word in words]
        words.remove("--trainer.max_epochs")
    done = run(*words)
    assert done.code == 0, done.err


def test_sweeps_and_links_exist() -> None:
    for command in COMMANDS:
        if command.startswith("seqlight sweep "):
            assert (ROOT / "configs" / f"{command.split()[2]}.yaml").is_file()
    for page in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "benchmarks/README.md",
    ):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_the_python_of_the_readme_runs(run: Run, run_folder: object, tmp_path: object) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    scope: dict[str, object] = {}
    exec(code, scope)  # in the folder of `run`, which holds one trained run
    assert scope["logits"].shape == (1, 4)  # type: ignore[attr-defined]
