"""Settings in checkpoints: groups of arguments stay plain nested data, and flags win over them."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import Run
from lightning.pytorch import LightningModule

import seqlight
from seq_modules import ParityModule
from seqlight.checkpoints import (
    check_classes,
    check_weights,
    class_settings,
    find_checkpoint,
    is_plain,
    read_checkpoint,
    runs_root,
    settings,
)
from seqlight.core.errors import UserError
from seqlight.run_files.atomic_checkpoint import write_checkpoint

BEST = "checkpoints/best.ckpt"


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, True),
        ({"a": [1, {"b": "c"}]}, True),
        ({}, True),
        ({"class_path": "os.system"}, False),
        ({"a": {"init_args": {}}}, False),
        ([{"a": {"class_path": "os.system"}}], False),
        ({"a": torch.ones(1)}, False),
        ({1: 2}, False),
    ],
)
def test_plain_values(value: Any, plain: bool) -> None:
    assert is_plain(value) is plain


def test_a_checkpoint_holds_groups_as_nested_plain_data(run_folder: Path) -> None:
    content = torch.load(run_folder / BEST, weights_only=True)
    hparams = content["hyper_parameters"]
    assert hparams["net"]["hidden_size"] == 4
    assert hparams["optim"]["learning_rate"] == 0.01
    assert is_plain(hparams["net"])
    assert is_plain(hparams["optim"])


def changed(run_folder: Path, path: Path, group: str, **fields: Any) -> dict[str, Any]:
    """The best checkpoint with other fields in a group of the model's arguments."""
    content = torch.load(run_folder / BEST, weights_only=True)
    content["hyper_parameters"][group] |= fields
    torch.save(content, path)
    return content


def test_fields_and_arguments_that_are_gone_are_left_out(run: Run, run_folder: Path, tmp_path: Path) -> None:
    content = changed(run_folder, tmp_path / "old.ckpt", "net", gone=1, cell={"class_path": "evil.Evil"})
    content["hyper_parameters"]["gone_too"] = 2
    torch.save(content, tmp_path / "old.ckpt")
    found = class_settings(content, "hyper_parameters", LightningModule, tmp_path)
    assert found is not None
    assert "gone_too" not in found["init_args"]
    assert "net" not in found["init_args"]  # a class in it
    content = changed(run_folder, tmp_path / "old.ckpt", "net", gone=1)
    found = class_settings(content, "hyper_parameters", LightningModule, tmp_path)
    assert found is not None
    assert found["init_args"]["net"] == {k: v for k, v in content["hyper_parameters"]["net"].items() if k != "gone"}
    assert isinstance(seqlight.load(tmp_path / "old.ckpt"), ParityModule)
    tested = run("test", "--ckpt_path", "old.ckpt", "--trainer.callbacks=[]")
    assert tested.code == 0, tested.err


def test_load_and_load_from_checkpoint_give_the_same_net(run_folder: Path) -> None:
    module = seqlight.load(run_folder)
    again = ParityModule.load_from_checkpoint(run_folder / BEST, map_location="cpu", weights_only=True)
    assert module.hparams["net"]["hidden_size"] == again.hparams["net"]["hidden_size"] == 4
    assert module.optim == again.optim
    for name, value in module.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])


def test_flags_change_single_fields_of_a_checkpoints_groups(run: Run, run_folder: Path) -> None:
    flags = ("--model.net.num_layers=1", "--model.optim.learning_rate=0.5", "--model.optim.beta2=0.9")
    done = run("fit", "--ckpt_path", "last", "--trainer.max_epochs=2", *flags)
    assert done.code == 0, done.err
    newest = max(run_folder.parent.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    config = yaml.safe_load((newest / "config.yaml").read_text())["model"]["init_args"]
    assert (config["net"]["hidden_size"], config["net"]["cell"], config["net"]["num_layers"]) == (4, "lstm", 1)
    assert (config["optim"]["learning_rate"], config["optim"]["beta2"], config["optim"]["beta1"]) == (0.5, 0.9, 0.9)
    held = torch.load(newest / "checkpoints/last.ckpt", weights_only=True)["hyper_parameters"]
    assert held["optim"] == config["optim"]
    assert seqlight.load(newest).optim.learning_rate == 0.5


def test_dropout_over_a_checkpoint(run: Run, run_folder: Path) -> None:
    tested = run("test", "--ckpt_path", "best", "--trainer.callbacks=[]", "--model.net.dropout=0.1")
    assert tested.code == 0, tested.err
    (config,) = run_folder.glob("test/*/config.yaml")
    net = yaml.safe_load(config.read_text())["model"]["init_args"]["net"]
    assert (net["dropout"], net["hidden_size"]) == (0.1, 4)


def test_how_texts_are_generated_is_taken_from_the_checkpoint() -> None:
    content = {"config": {"decoding": {"max_new_tokens": 7, "temperature": 0.5, "of_another_version": 1}}}
    for command in ("fit", "test", "predict"):
        found = settings(content, Path("a.ckpt"), command)
        assert found["decoding"] == {"max_new_tokens": 7, "temperature": 0.5}


def test_a_saved_callback_loses_arguments_that_its_class_no_longer_has() -> None:
    saved = {"class_path": "seq_modules.callbacks.AttentionMaps", "init_args": {"text": "So.", "max_tokens": 9}}
    (kept,) = settings({"config": {"trainer": {"callbacks": [saved]}}}, Path("a.ckpt"), "test")["trainer"]["callbacks"]
    assert kept == {"class_path": "seq_modules.callbacks.AttentionMaps", "init_args": {"max_tokens": 9}}


def test_weights_of_another_shape_are_named() -> None:
    content = {"state_dict": ParityModule(net={"hidden_size": 4}).state_dict()}  # type: ignore[arg-type]
    check_weights(content, ParityModule(net={"hidden_size": 4}), "a.ckpt")  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"a\.ckpt: .*\(16, 1\) in the checkpoint, \(20, 1\) in the model"):
        check_weights(content, ParityModule(net={"hidden_size": 5}), "a.ckpt")  # type: ignore[arg-type]
    del content["state_dict"]["head.bias"]
    with pytest.raises(UserError, match=r"head\.bias: none in the checkpoint"):
        check_weights(content, ParityModule(net={"hidden_size": 4}), "a.ckpt")  # type: ignore[arg-type]


def test_other_classes_are_named() -> None:
    content = {"class_names": ["a", "b", "c"]}
    for names in (None, ["a", "b", "c"], ["x", "y", "z"]):
        check_classes(content, names, "a.ckpt")
    check_classes({}, ["a", "b"], "a.ckpt")
    with pytest.raises(
        UserError, match=r"^a\.ckpt: the checkpoint has 3 classes \(a, b, c\), but the data has 2 \(x, y\)"
    ):
        check_classes(content, ["x", "y"], "a.ckpt")


def test_a_training_draws_its_curves(run_folder: Path) -> None:
    assert (run_folder / "plots/curves.png").stat().st_size > 1000


def test_find_and_read(run_folder: Path, tmp_path: Path) -> None:
    assert find_checkpoint(str(run_folder), "test") == run_folder / BEST
    assert find_checkpoint(str(run_folder), "fit").name == "last.ckpt"
    torch.save({"state_dict": {}, "pytorch-lightning_version": "2", "config": 3}, tmp_path / "a.ckpt")
    with pytest.raises(
        UserError, match="not a seqlight checkpoint, or a damaged one: `config` must be a mapping, not 3"
    ):
        read_checkpoint(tmp_path / "a.ckpt")


def save_in_turn(folder: Path, *names: str) -> None:
    for time, name in enumerate(names):
        write_checkpoint({"time": time}, folder / name)
        os.utime(folder / name, (time, time))


def test_a_damaged_best_is_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_in_turn(tmp_path, *(f"{name}/{BEST}" for name in ("a", "b", "c")))
    (tmp_path / "c" / BEST).write_bytes((tmp_path / "c" / BEST).read_bytes()[:-1])
    os.utime(tmp_path / "c" / BEST, (2, 2))
    assert find_checkpoint("best", "test", str(tmp_path)) == tmp_path / "b" / BEST
    expected = f"--ckpt_path best: {tmp_path / 'b' / BEST}, because {tmp_path / 'c' / BEST} is damaged\n"
    assert capsys.readouterr().err == expected
    for name in ("a", "b"):
        (tmp_path / name / BEST).write_bytes(b"")
    with pytest.raises(UserError, match=r"is damaged, and no run under .* has another"):
        find_checkpoint("best", "test", str(tmp_path))


def test_best_of_an_older_run_is_announced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_in_turn(tmp_path, "old/checkpoints/last.ckpt", f"old/{BEST}", "new/checkpoints/last.ckpt")
    assert find_checkpoint("last", "test", str(tmp_path)) == tmp_path / "new/checkpoints/last.ckpt"
    assert capsys.readouterr().err == ""
    assert find_checkpoint("best", "test", str(tmp_path)) == tmp_path / "old" / BEST
    expected = f"--ckpt_path best: {tmp_path / 'old' / BEST}, because {tmp_path / 'new'} has no best.ckpt\n"
    assert capsys.readouterr().err == expected


def test_the_folder_of_runs_follows_from_the_place(tmp_path: Path) -> None:
    path = tmp_path / "disk/a/b/now/checkpoints/last.ckpt"
    path.parent.mkdir(parents=True)
    assert runs_root(path, "a/b") == tmp_path / "disk"
    assert runs_root(path, "c") is None
    assert runs_root(tmp_path / "last.ckpt", "a/b") is None
