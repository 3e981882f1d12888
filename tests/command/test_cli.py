"""The command line: what it prints, what it writes, how it refuses."""

import functools
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import jsonargparse._completions
import pytest
import torch
import yaml
from conftest import ROOT, SMALL, Run

import seqlight
from seqlight.core.errors import UserError

FIT = ("fit", "--config", "parity/lstm_last", *SMALL, "--trainer.max_epochs=1", "--model.net.hidden_size=4")
QUICK_SWEEP = "--trainer.callbacks=[]"  # the length sweep has a test of its own


def test_fit_test_predict_need_only_the_checkpoint(run: Run, run_folder: Path, tmp_path: Path) -> None:
    assert {path.name for path in run_folder.iterdir()} == {"checkpoints", "config.yaml", "metrics.csv", "plots"}
    assert {path.name for path in (run_folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    tested = run("test", "--ckpt_path", "best", QUICK_SWEEP, "--data.test_max_length=50")
    assert tested.code == 0, tested.err
    assert "test/accuracy_last" in tested.out
    assert "checkpoints/best.ckpt" in tested.out  # it says which
    predicted = run("predict", "--ckpt_path", str(run_folder.relative_to(tmp_path)), "--data.bits", '["0110", "111"]')
    assert predicted.code == 0, predicted.err
    (written,) = run_folder.rglob("predictions.jsonl")
    rows = [json.loads(line) for line in written.read_text().splitlines()]
    assert [row["bits"] for row in rows] == ["0110", "111"]
    assert str(written.parent.relative_to(tmp_path)) in predicted.out
    # The settings of the checkpoint, with the flag on top.
    config = yaml.safe_load((written.parent / "config.yaml").read_text())
    assert config["model"]["init_args"]["net"]["hidden_size"] == 4
    assert config["data"]["init_args"]["bits"] == ["0110", "111"]
    assert config["data"]["init_args"]["batch_size"] == 32


def test_a_run_is_never_written_over_and_its_config_runs_again(run: Run, run_folder: Path) -> None:
    before = {path: path.read_bytes() for path in run_folder.rglob("*") if path.is_file()}
    again = run("fit", "--config", str(run_folder / "config.yaml"))
    assert again.code == 0, again.err
    assert len(list(run_folder.parent.iterdir())) == 2
    assert all(path.read_bytes() == content for path, content in before.items())
    first, second = (torch.load(p, weights_only=True)["state_dict"] for p in sorted(Path().rglob("best.ckpt")))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_resuming_takes_up_the_runs_settings_and_flags_win(run: Run, run_folder: Path) -> None:
    result = run("fit", "--ckpt_path", "last", "--trainer.max_epochs=2", "--model.optim.learning_rate=0.5")
    assert result.code == 0, result.err
    newest = max(run_folder.parent.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    config = yaml.safe_load((newest / "config.yaml").read_text())
    assert config["trainer"]["gradient_clip_val"] == 1.0  # from the checkpoint
    assert config["trainer"]["log_every_n_steps"] == 2
    assert config["model"]["init_args"]["net"]["hidden_size"] == 4
    assert config["model"]["init_args"]["optim"]["learning_rate"] == 0.5
    content = torch.load(newest / "checkpoints/last.ckpt", weights_only=True)
    assert content["global_step"] == 16
    assert content["optimizer_states"][0]["param_groups"][0]["lr"] == 0.5


def test_options_before_the_command_and_layers(run: Run, tmp_path: Path) -> None:
    overlay = tmp_path / "mine.yaml"
    overlay.write_text("model:\n  init_args:\n    net:\n      hidden_size: 5\ntrainer:\n  max_epochs: 7\n")
    words = ("-c", "configs/parity/lstm_last.yaml", "fit", "--config", str(overlay), "--config=trainer/bf16")
    shown = run(*words, "--trainer.max_epochs=3", "--print_config")
    assert shown.code == 0, shown.err
    config = yaml.safe_load(shown.out)
    assert (
        config["model"]["init_args"]["net"] | {"cell": "lstm", "hidden_size": 5} == config["model"]["init_args"]["net"]
    )
    assert config["trainer"]["max_epochs"] == 3
    assert config["trainer"]["precision"] == "bf16-mixed"
    assert config["trainer"]["use_distributed_sampler"] is False  # defaults.yaml


def test_help_of_a_model_tells_what_its_docstring_says(run: Run) -> None:
    shown = run("fit", "--model.help", "ParityModule")
    assert shown.code == 0
    assert "--model.net.hidden_size" in shown.out
    assert "Width of the hidden state" in shown.out


def test_quick_commands_import_no_torch() -> None:
    code = (
        "import sys; sys.argv = ['seqlight', *{word!r}.split()]\nfrom seqlight.main import main\n"
        "try: main()\nexcept SystemExit as e: assert e.code == 0\n"
        "assert 'torch' not in sys.modules and 'lightning' not in sys.modules"
    )
    for word in ("--version", "configs", "--help", "sweep --help", "configs -h"):
        done = subprocess.run([sys.executable, "-c", code.format(word=word)], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()


def test_configs_are_listed_and_copied_but_never_over_a_file(run: Run, tmp_path: Path) -> None:
    listed = run("configs").out
    for path in (ROOT / "configs").rglob("*.yaml"):
        if path.name != "defaults.yaml":
            name = path.relative_to(ROOT / "configs").with_suffix("").as_posix()
            assert re.search(rf"^  {name} +\S", listed, re.M), f"{name} has no line that describes it"
    assert run("configs", "copy", "parity/lstm_last", "mine.yaml").code == 0
    assert (tmp_path / "mine.yaml").read_text() == (ROOT / "configs/parity/lstm_last.yaml").read_text()
    refused = run("configs", "copy", "parity/lstm_last", "mine.yaml")
    assert refused.code == 2
    assert "mine.yaml exists already" in refused.err
    assert run("configs", "copy", "../pyproject").code == 2


def test_completion_script(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqlight.command.commands.LIGHTNING_COMMANDS", {"test": ""})  # each of four takes seconds
    # The arguments of each class are read once, and not for each option that takes the class: a third of the time.
    once = functools.cache(jsonargparse._completions.get_signature_parameters)
    monkeypatch.setattr(jsonargparse._completions, "get_signature_parameters", once)
    script = run("--print_completion", "bash")
    assert script.code == 0
    (tmp_path / "complete.sh").write_text(script.out)
    assert subprocess.run(["bash", "-n", "complete.sh"], cwd=tmp_path).returncode == 0
    assert "--trainer.max_epochs" in script.out


MISTAKES = {
    "unknown key": (("--model.hiden_size=3",), r"hiden_size.* did you mean net\.hidden_size\?"),
    "unknown field of a group": (("--model.optim.learning_rat=1",), r"did you mean --model\.optim\.learning_rate\?"),
    "unknown group": (
        ("--model.optm.learning_rate=1",),
        r"error: unrecognized arguments: --model\.optm\.learning_rate=1; did you mean --model\.optim\.learning_rate\?$",
    ),
    "a group of other data": (
        ("--data.prompt.source=none",),
        r"error: unrecognized .*: --data\.prompt\.source=none; see",
    ),
    "unknown field in a mapping": (('--model.optim={"learning_rat": 1}',), r"did you mean optim\.learning_rate\?"),
    "a group that is a number": (("--model.net=3",), r"model\.net: .*'3'"),
    "unknown field of data": (("--data.batch_siz=3",), r"batch_siz.* did you mean .*batch_size\?"),
    "decoding": (("--decoding.top_p=3",), r"error: decoding\.top_p must be"),
    "unknown way of decoding": (("--decoding.topp=3",), r"did you mean --decoding\.top_p\?"),
    "checkpoint's mode": (("--best_checkpoint.mode=foo",), r"error: best_checkpoint\.mode"),
    "checkpoint's minutes": (("--last_checkpoint.minutes=-1",), r"error: last_checkpoint\.minutes must be above 0"),
    "one group with another": (
        ("--model.net.layer_norm=true",),
        r"model\.net\.layer_norm is not in .*; see `seqlight fit --model\.help Par",
    ),
    "unknown flag": (("--bogus=3",), r"bogus"),
    "a logger without its folder": (("--trainer.logger=CSVLogger",), r"logger: give --trainer\.logger\.save_dir"),
    "abbreviated flag": (("--trainer.max_epoch=3",), r"max_epoch.* did you mean --trainer.max_epochs\?"),
    "wrong type": (("--model.net.hidden_size=abc",), r"model\.net\.hidden_size: expected int, not abc"),
    "not a choice": (("--model.net.cell=foo",), r"model\.net\.cell: expected one of 'rnn', 'lstm', 'gru', .*not foo"),
    "dropout 2": (("--model.net.dropout=2", "--model.net.num_layers=2"), r"error: model\.net\.dropout must be .*2"),
    "negative seed": (("--data.seed=-1",), r"data\.seed must be at least 0"),
    "bits without quotes": (("--data.bits=0110",), r"data\.bits: expected a list, in quotes"),
    "no bits": (("--data.bits=[]",), r"data\.bits: the list is empty"),
    "a folder outside": (("--experiment=../x",), r"--experiment \.\./x"),
    "a file for a folder": ((f"--trainer.default_root_dir={__file__}",), r"is a file, not a folder"),
    "hidden_size 0": (("--model.net.hidden_size=0",), r"error: model\.net\.hidden_size .*0"),
    "learning rate 0": (
        ("--model.optim.learning_rate=0",),
        r"error: model\.optim\.learning_rate must be above 0, not 0.*; see `seqlight fit --model\.help ParityModule`",
    ),
    "negative length": (("--data.min_length=-3",), r"data\.min_length must be at least 1, not -3"),
    "lengths the wrong way round": (("--data.max_length=5", "--data.min_length=9"), r"data\.max_length .*9.*5"),
    "batch of nothing": (("--data.batch_size=0",), r"data\.batch_size must be at least 1"),
    "unknown class": (("--model=Foo",), r"no class Foo"),
    "missing config": (("--config=nope.yaml",), r"--config nope\.yaml: no such file.*seqlight configs"),
    "bad bits": (("--data.bits=['01a']",), r"data\.bits: string 1 is '01a'"),
    "callback out of range": (
        ('--trainer.callbacks=[{"class_path": "LengthSweep", "init_args": {"min_length": 0}}]',),
        r"LengthSweep\.min_length must be",
    ),
    "no such precision": (("--trainer.precision=bf17",), r"trainer\.precision: expected .*'bf16-mixed'.*, not bf17"),
    "no such strategy": (("--trainer.strategy=dpp",), r"strategy='dpp'.*auto, ddp"),
    "a word for a number": (("--trainer.gradient_clip_val=x",), r"gradient_clip_val: expected int or float, not x"),
    "no such monitor": (("--best_checkpoint.monitor=val/nothing",), r"val/nothing"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_get_one_line_and_code_2(run: Run, mistake: str) -> None:
    words, expected = MISTAKES[mistake]
    result = run(*FIT, *words)
    check_refusal(result, expected)


def check_refusal(result: object, expected: str) -> None:
    said = [line for line in result.err.splitlines() if "error:" in line]  # type: ignore[attr-defined]
    assert result.code == 2, result.err  # type: ignore[attr-defined]
    assert len(said) == 1
    assert re.search(expected, said[0]), said[0]
    assert "Traceback" not in result.err  # type: ignore[attr-defined]
    assert "Namespace(" not in result.err  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model: [\n", r"bad\.yaml: not valid YAML.*line 2"),
        ("just words\n", r"bad\.yaml: holds no settings"),
        ("modell:\n  class_path: seq_modules.ParityModule\n", r"modell"),
        ("model: !!python/object/apply:os.system ['touch pwned']\n", r"bad\.yaml: not valid YAML"),
    ],
)
def test_bad_config_files(run: Run, tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    check_refusal(run("fit", "--config", "bad.yaml"), expected)
    assert not (tmp_path / "pwned").exists()


def test_no_experiment_and_no_such_command(run: Run) -> None:
    check_refusal(run("fit"), r"add --config NAME.*seqlight configs")
    check_refusal(run("fot"), r"fot: no such command; there are fit")


def test_slips_of_a_new_user(run: Run) -> None:
    check_refusal(run("fit", "--config", "parity/lstm_lastt"), r"did you mean parity/lstm_last\?")
    check_refusal(run("fit", "parity/lstm_last"), r"fit --config parity/lstm_last")
    check_refusal(run("fit", "--model.help"), r"--model\.help needs a class, such as ParityModule")


def test_commands_it_prints_can_be_pasted_with_spaces_in_a_name(run: Run) -> None:
    done = run(*FIT, QUICK_SWEEP, "--experiment", "my study")
    assert done.code == 0, done.err
    words = shlex.split(done.out.rpartition("next: seqlight ")[2])
    assert run(*words, QUICK_SWEEP).code == 0
    assert run("configs", "copy", "parity/lstm_last", "my own.yaml").out.endswith("--config 'my own.yaml'\n")


def test_an_untrained_net_is_not_tested(run: Run) -> None:
    for command in ("test", "validate", "predict"):
        check_refusal(run(command, "--config", "parity/lstm_last"), r"needs a trained model: --ckpt_path best")


def test_checkpoints_that_are_none(run: Run, run_folder: Path, tmp_path: Path) -> None:
    whole = (run_folder / "checkpoints/best.ckpt").read_bytes()
    (tmp_path / "cut.ckpt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "words.ckpt").write_text("words")
    (tmp_path / "empty.ckpt").touch()
    torch.save({"a": 1}, tmp_path / "other.ckpt")
    for name in ("cut", "words", "empty", "other"):
        for command in ("test", "fit"):
            check_refusal(
                run(command, "--ckpt_path", f"{name}.ckpt"),
                rf"{name}\.ckpt: (is damaged|not a (Lightning )?checkpoint)",
            )
    check_refusal(run("test", "--ckpt_path", "nope.ckpt"), r"nope\.ckpt: no such file")
    (tmp_path / "empty_folder").mkdir()
    check_refusal(run("test", "--ckpt_path", "empty_folder"), r"empty_folder: the folder has no checkpoints/best\.ckpt")
    with pytest.raises(UserError, match=r"cut\.ckpt"):
        seqlight.load("cut.ckpt")


def test_best_without_any_run(run: Run) -> None:
    check_refusal(run("test", "--ckpt_path", "best"), r"no run under runs/ has a best\.ckpt.*seqlight fit")


class Exploit:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("touch pwned",)


def test_nothing_in_a_checkpoint_is_executed(
    run: Run, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)  # evil.py could be imported
    good = torch.load(run_folder / "checkpoints/best.ckpt", weights_only=True)
    torch.save({**good, "extra": Exploit()}, tmp_path / "pickle.ckpt")
    check_refusal(run("test", "--ckpt_path", "pickle.ckpt"), r"pickle\.ckpt: .*not (loaded|a checkpoint)")
    # A module that runs code on import must not be imported because a checkpoint names it.
    (tmp_path / "evil.py").write_text("open('pwned', 'w').close()\nclass Evil: pass\n")
    hparams = {**good["hyper_parameters"], "_class_path": "evil.Evil"}
    torch.save({**good, "hyper_parameters": hparams}, tmp_path / "class.ckpt")
    check_refusal(run("test", "--ckpt_path", "class.ckpt"), r"its class evil\.Evil is none of this program's")
    # Neither as what builds the module, nor inside a group of its arguments.
    changes = {"_instantiator": "evil.Evil", "net": {**hparams["net"], "cell": {"class_path": "evil.Evil"}}}
    torch.save({**good, "hyper_parameters": {**good["hyper_parameters"], **changes}}, tmp_path / "i.ckpt")
    with pytest.raises(UserError, match="weights do not fit"):  # the group is left out
        seqlight.load(tmp_path / "i.ckpt")
    for trainer in (
        {"logger": [{"class_path": "evil.Evil"}], "max_epochs": 1},
        {"callbacks": [{"class_path": "evil.Evil"}]},
        {
            "callbacks": [
                {"class_path": "lightning.pytorch.callbacks.LambdaCallback", "init_args": {"setup": "evil.Evil"}}
            ]
        },
        {"strategy": "evil.Evil", "max_epochs": 1},
    ):
        saved = {**good["config"], "trainer": trainer}
        torch.save({**good, "config": saved}, tmp_path / "trainer.ckpt")
        assert (
            run("fit", "--ckpt_path", "trainer.ckpt", "--trainer.max_epochs=1", "--trainer.log_every_n_steps=2").code
            == 0
        )
    assert not (tmp_path / "pwned").exists()


def test_checkpoint_of_another_class_or_shape(run: Run, run_folder: Path) -> None:
    other = run("test", "--ckpt_path", "best", "--model=helpers.toy.ToyModule")
    check_refusal(other, r"ParityModule.*ToyModule")
    other = run("fit", "--ckpt_path=last", "--config=text/gpt_char")  # whose options the parser would refuse first
    check_refusal(other, r"holds a ParityModule, but --model or a config names seq_modules\.GPTLanguageModel")
    check_refusal(run("test", "--ckpt_path", "best", "--model.net.hidden_size=5"), r"weights do not fit.*--model")


def test_debug_shows_where(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQLIGHT_DEBUG", "")
    code = "import sys; sys.argv = ['seqlight', 'test', '--debug']; from seqlight.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_load_in_python(run_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for what in ("best", run_folder, run_folder / "checkpoints/last.ckpt"):
        module = seqlight.load(what)
        assert type(module).__name__ == "ParityModule"
        assert not module.training
        logits, _ = module(torch.tensor([[0, 1, 1, 0]]))
        assert logits.shape == (1, 4)


def test_a_tilde_is_the_home_folder(
    run: Run, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "house"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))  # on Windows
    assert run("configs", "copy", "parity/lstm_last", "~/mine.yaml").code == 0
    checkpoint = str(shutil.copy(run_folder / "checkpoints/best.ckpt", home / "mine.ckpt"))
    fitted = run("fit", "--config=~/mine.yaml", *SMALL, "--trainer.max_steps=1", "--trainer.default_root_dir=~/runs")
    assert f"results: {home / 'runs/mine'}" in fitted.out, fitted.err
    assert "house/runs" in run("predict", "--ckpt_path=best", "--trainer.default_root_dir=~/runs").out
    assert f"--ckpt_path {home / 'mean.ckpt'}" in run("average", "~/mine.ckpt", checkpoint, "--output=~/mean.ckpt").out
    assert str(home / "folder") in run("export", "--ckpt_path=~/mean.ckpt", "--to=~/folder").out.partition("next:")[2]
    assert seqlight.load("~/folder").training is False
    assert not (tmp_path / "~").exists()
