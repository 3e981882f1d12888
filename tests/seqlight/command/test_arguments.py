"""The words of a command line: options found, recipes and checkpoints turned into paths."""

import sys
from pathlib import Path

import pytest
from conftest import ROOT

from seqlight.command.arguments import (
    as_config,
    config_values,
    import_own_classes,
    option,
    option_word,
    prepare,
    values_as_configs,
)
from seqlight.core.errors import UserError

COMMANDS = ("fit", "test", "predict")
RECIPE = str(ROOT / "configs/parity/lstm_last.yaml")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--a", "1"], (1, "1")),
        (["--a=1", "--a=2"], (1, "2")),
        (["--a=1=2"], (0, "1=2")),
        (["--ab=1", "--a"], None),
    ],
)
def test_the_last_value_of_an_option(words: list[str], found: tuple[int, str] | None) -> None:
    assert option(words, "--a") == found


def test_configs_in_order() -> None:
    assert config_values(["--config=a", "-c", "b", "--x", "--config", "c"]) == ["a", "b", "c"]


def test_the_command_comes_first_and_recipes_are_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--x", "test", "--config", "parity/lstm_last", "fit", "--config=configs/parity/lstm_last.yaml"]
    assert prepare(words, COMMANDS) == ["fit", "--x", "test", "--config", RECIPE, f"--config={RECIPE}"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fot"], "fot: no such command; there are fit, test, predict"),
        (["fit", "parity/lstm_last"], "a recipe is named by its option: fit --config parity/lstm_last"),
        (["fit", "--model.help"], "needs a class, such as ParityModule"),
        (["fit", "--config=parity/lstm_lasst"], r"did you mean parity/lstm_last\?"),
        (["test"], "test needs a trained model"),
        (["test", "--ckpt_path=best"], "no run under runs/ has a best.ckpt"),
    ],
)
def test_mistakes(words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        prepare(words, COMMANDS)


def test_a_checkpoint_by_name_becomes_its_file(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = run_folder.relative_to(tmp_path)
    assert prepare(["test", "--ckpt_path", "best"], COMMANDS)[-1] == str(folder / "checkpoints/best.ckpt")
    assert prepare(["fit", f"--ckpt_path={folder}"], COMMANDS)[-1] == f"--ckpt_path={folder / 'checkpoints/last.ckpt'}"


def test_a_checkpoint_and_the_folder_of_runs_that_a_config_names(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").rename(tmp_path / "mine")
    (tmp_path / "a.yaml").write_text("ckpt_path: last\ntrainer: {default_root_dir: mine}\n")
    best, last = (
        Path("mine", run_folder.relative_to(tmp_path / "runs"), f"checkpoints/{n}.ckpt") for n in ("best", "last")
    )
    assert prepare(["fit", "--config=a.yaml"], COMMANDS)[-1] == f"--ckpt_path={last}"
    assert prepare(["test", "--config=a.yaml", "--ckpt_path=best"], COMMANDS)[-1] == f"--ckpt_path={best}"
    assert (
        prepare(["fit", "--config=a.yaml", "--config={ckpt_path: null}"], COMMANDS)[-1] == "--config={ckpt_path: null}"
    )
    (tmp_path / "a.yaml").write_text("ckpt_path: lost\n")
    with pytest.raises(UserError, match="--ckpt_path lost: no such file"):
        prepare(["test", "--config=a.yaml"], COMMANDS)


def test_an_option_without_its_value() -> None:
    with pytest.raises(UserError, match=r"^--model\.net\.hidden_size: no value follows it"):
        values_as_configs(["--data.path=a", "--model.net.hidden_size"])
    assert values_as_configs(["--data.path=a", "--experiment"])[1:] == ["--experiment"]
    assert values_as_configs(["--model.help"]) == ["--model.help"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--experiment", "#1"], [as_config("--experiment", "#1")]),
        (["--data.path=a: b"], ["--config={data: {init_args: {path: 'a: b'}}}"]),
        (["--data.path", "1e3"], ["--data.path", "1e3"]),
        (["--data.path=null"], ["--data.path=null"]),
        (["--data.source", '"null"'], ["--config={data: {init_args: {source: 'null'}}}"]),
        (["--model.net.d_ff", "null"], ["--config={model: {init_args: {net: {d_ff: null}}}}"]),
        (['--data.prompts=["\\ud83d\\ude00"]'], ["--config={data: {init_args: {prompts: [\U0001f600]}}}"]),
        (['--trainer.callbacks=[{"a": "\\ud83d\\ude00"}]'], ["--trainer.callbacks=[{a: \U0001f600}]"]),
        (['--data.stop=["1e3", null]'], ["--config={data: {init_args: {stop: ['1e3', null]}}}"]),
        (["--data.help", "X", "--trainer.x", "#1"], ["--data.help", "X", "--trainer.x", "#1"]),
        (["--model.x+=[1]"], ["--model.x+=[1]"]),
    ],
)  # fmt: skip
def test_values_that_a_parser_of_yaml_would_misread(words: list[str], found: list[str]) -> None:
    assert values_as_configs(words) == found


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (None, "--data.x=null"), (True, "--data.x=true"), (0.001, "--data.x=0.001"), ("1e-3", "--data.x=1e-3"),
        (["a", None], "--data.x=[a, null]"), ("a b", "--data.x=a b"),
        ("null", "--config={data: {init_args: {x: 'null'}}}"), ("[a]", "--data.x=[a]"),
    ],
)  # fmt: skip
def test_plain_values_as_options(value: object, word: str) -> None:
    assert option_word("--data.x", value) == word


def test_modules_of_named_classes_are_imported_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "mine").mkdir()
    for name in ("model", "data", "rows"):
        (tmp_path / f"mine/{name}.py").touch()
    (tmp_path / "csv.py").write_text("raise AssertionError('the standard library comes first')")
    (tmp_path / "mine.yaml").write_text("model: {class_path: mine.model.M, init_args: {}}\ndata: mine.data.D\n")
    before = [*sys.path]
    import_own_classes(["--model=ParityModule", "--data", "csv.D", "--config={trainer: 3"])
    assert sys.path == before
    import_own_classes(["--config", "mine.yaml", "--model.help=mine.rows.R", "--data=not_there.D"])
    found = {name for name in sys.modules if name.startswith("mine")}
    for name in found:
        del sys.modules[name]
    assert found == {"mine", "mine.model", "mine.data", "mine.rows"}
    assert sys.path[: len(before)] == before
