"""The mean weights of several checkpoints, in Python and as a command."""

from pathlib import Path

import pytest
import torch
from conftest import Run

import seqlight
from seqlight.command.saved_settings import SavedSettings
from seqlight.core.errors import UserError
from seqlight.export.averaging import average, command


@pytest.fixture
def two(run_folder: Path, tmp_path: Path) -> list[Path]:
    """A run's best checkpoint, and one with other weights."""
    first, second = run_folder / "checkpoints/best.ckpt", tmp_path / "other.ckpt"
    content = torch.load(first, weights_only=True)
    content["state_dict"] = {
        name: value + 0.5 if value.is_floating_point() else value for name, value in content["state_dict"].items()
    }
    content["global_step"] = 12345
    torch.save(content, second)
    return [first, second]


def test_weights_are_the_mean_and_the_rest_is_the_last_ones(two: list[Path]) -> None:
    first, second = (torch.load(path, weights_only=True) for path in two)
    mean = average(two)
    assert mean["state_dict"].keys() == first["state_dict"].keys()
    for name, value in mean["state_dict"].items():
        assert value.dtype == first["state_dict"][name].dtype
        torch.testing.assert_close(value, (first["state_dict"][name] + second["state_dict"][name]) / 2)
    assert mean["global_step"] == 12345
    assert "optimizer_states" in second
    assert "optimizer_states" not in mean
    one = average(two[:1])["state_dict"]
    assert all(torch.equal(value, first["state_dict"][name]) for name, value in one.items())


def test_the_mean_of_three_differs_from_the_mean_of_means(two: list[Path]) -> None:
    first = torch.load(two[0], weights_only=True)["state_dict"]
    name = next(name for name, value in first.items() if value.is_floating_point())
    mean = average([*two, two[1]])["state_dict"][name]
    torch.testing.assert_close(mean, first[name] + 1 / 3)


def test_a_module_with_the_mean_is_ready_to_call(two: list[Path]) -> None:
    module, first = seqlight.load_average(two), seqlight.load(two[0])
    assert not module.training
    logits, alone = (net(torch.tensor([[0, 1, 1]]))[0] for net in (module, first))
    assert logits.shape == alone.shape
    assert not torch.allclose(logits, alone)
    weights = dict(first.named_parameters())
    torch.testing.assert_close(
        dict(module.named_parameters()), {name: weight + 0.25 for name, weight in weights.items()}
    )


def test_the_command_writes_a_checkpoint_that_can_be_tested(run: Run, two: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "new" / "mean.ckpt"
    assert command([*map(str, two), "--output", str(output)]).startswith(f"{output} has the mean of 2\nnext: seqlight")
    done = run("test", f"--ckpt_path={output}", "--trainer.limit_test_batches=1", "--trainer.callbacks=[]")
    assert done.code == 0, done.err
    with pytest.raises(UserError, match=r"mean\.ckpt: has weights and no state of a training to resume"):
        SavedSettings(output, "fit", [])
    with pytest.raises(UserError, match=r"^--output .*mean\.ckpt: exists already"):
        command([*map(str, two), f"--output={output}"])


def test_mistakes_are_one_line(two: list[Path], tmp_path: Path) -> None:
    for words, message in (
        ([str(two[0])], r"^average: --output is missing; use `seqlight average"),
        (["--output", "x.ckpt"], r"^average: no checkpoints are given; use"),
        (["--ouput", "x.ckpt"], r"^average: there is no option --ouput"),
        ([str(tmp_path / "none.ckpt"), "--output=x.ckpt"], r"none\.ckpt: no such file"),
    ):
        with pytest.raises(UserError, match=message):
            command(words)
    content = torch.load(two[1], weights_only=True)
    name = next(iter(content["state_dict"]))
    content["state_dict"][name] = torch.zeros(3, 3, 3)
    torch.save(content, two[1])
    with pytest.raises(
        UserError, match=rf"other\.ckpt: its weights differ from those of .*best\.ckpt \({name}: \(3, 3"
    ):
        average(two)
    del content["state_dict"][name]
    torch.save(content, two[1])
    with pytest.raises(UserError, match=rf"\({name}: none and"):
        average(two)
