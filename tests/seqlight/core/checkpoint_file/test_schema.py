"""Every entry of a checkpoint is of the kind that its readers need, or is named in the message."""

from pathlib import Path
from typing import Any

import pytest
import torch

from seqlight.core.checkpoint_file.kinds import MisfitError
from seqlight.core.checkpoint_file.reading import checked
from seqlight.core.checkpoint_file.training_state import check_loops, check_metrics, check_optimizers, check_schedules
from seqlight.core.errors import UserError

WHOLE = {"state_dict": {"a": torch.ones(1)}, "pytorch-lightning_version": "2.6.6"}


@pytest.mark.parametrize(
    ("entry", "value", "said"),
    [
        ("pytorch-lightning_version", "x", "`pytorch-lightning_version` must be a version, not 'x'"),
        ("pytorch-lightning_version", "0.7", "from 2.0 to below 3, not '0.7'"),
        ("state_dict", {"a": 3}, "`state_dict.a` must be a tensor, not 3"),
        ("epoch", -1, "`epoch` must be a count, not -1"),
        ("global_step", True, "`global_step` must be a whole number, not True"),
        ("global_step", 2**70, "at most 63 bits"),
        ("config", {"best_checkpoint": None}, "`config.best_checkpoint` must be a mapping, not None"),
        ("config", {"experiment": 3.5}, "`config.experiment` must be text, not 3.5"),
        ("config", {"trainer": {"callbacks": [3]}}, r"`config.trainer.callbacks\[0\]`|`config.trainer.callbacks`"),
        ("hyper_parameters", [1], "`hyper_parameters` must be a mapping, not a list"),
        ("callbacks", {"EMA": {"updates": "x", "last_step": 0}}, "`callbacks.EMA.updates` must be a whole number"),
        ("callbacks", {"TimeBudget": {"seconds": 3}}, "`callbacks.TimeBudget` must be a mapping with `used`"),
        ("callbacks", {"BestCheckpoint{'monitor': 'a'}": {}, "RNGState": 3}, "`callbacks.RNGState` must be a mapping"),
        ("optimizer_states", "x", "`optimizer_states` must be a list, not 'x'"),
        ("optimizer_states", [{"state": {}}], r"`optimizer_states\[0\]` must be a mapping with `param_groups`"),
        ("CorpusDataModule", {"epoch": 1}, "`CorpusDataModule` must be a mapping with `seed`"),
        ("CorpusDataModule", {"seed": 0, "epoch": 1}, "`CorpusDataModule` must be a mapping with `rows`"),
        ("StreamingTextDataModule", {"seed": 0, "streams": []}, "with `epoch`"),
        ("class_names", [3], r"`class_names\[0\]` must be text, not 3"),
        ("tokenizer", {}, "`tokenizer` must be a mapping with `kind`"),
    ],
)
def test_the_entry_is_named(entry: str, value: Any, said: str) -> None:
    assert checked(WHOLE, "a.ckpt") is WHOLE
    with pytest.raises(UserError, match=r"^a\.ckpt: not a seqlight checkpoint, or a damaged one: .*" + said):
        checked({**WHOLE, entry: value}, "a.ckpt")


def test_a_trainings_own_checkpoint_passes_and_fits(run_folder: Path) -> None:
    from lightning.pytorch import Trainer

    content = torch.load(run_folder / "checkpoints/last.ckpt", weights_only=True)
    checked(content, "a.ckpt")
    trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    check_loops(content, trainer)
    progress = content["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    progress["total"]["ready"] = "x"
    with pytest.raises(MisfitError, match=r"`loops.fit_loop.epoch_loop.batch_progress.total.ready` must be a whole"):
        check_loops(content, trainer)
    del content["loops"]["predict_loop"]
    with pytest.raises(MisfitError, match="`loops` must be a mapping with `predict_loop`"):
        check_loops(content, trainer)


def test_states_of_other_optimisers() -> None:
    weights = [torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(2, 2))]
    optimizer = torch.optim.AdamW(weights, lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    sum(weight.sum() for weight in weights).backward()  # type: ignore[union-attr]
    optimizer.step()

    def state() -> dict[str, Any]:
        held = optimizer.state_dict()
        return {"state": {n: dict(kept) for n, kept in held["state"].items()}, "param_groups": held["param_groups"]}

    check_optimizers([state()], [optimizer])
    check_schedules([schedule.state_dict()], [schedule])
    for change, said in (
        (lambda held: held["state"][0].pop("exp_avg"), "must be a mapping with exp_avg, exp_avg_sq, step"),
        (lambda held: held["state"][1].update(exp_avg=torch.ones(3)), r"exp_avg` must be a tensor \(2, 2\)"),
        (lambda held: held["state"].update({7: {}}), "state.7` must be the state of a weight"),
        (lambda held: held["param_groups"].append({"params": []}), "must be a list of groups"),
        (lambda held: held["param_groups"][0].update(lr=float("nan")), "lr` must be a learning rate"),
    ):
        held = state()
        change(held)  # type: ignore[no-untyped-call]
        with pytest.raises(MisfitError, match=said):
            check_optimizers([held], [optimizer])
    with pytest.raises(MisfitError, match="`optimizer_states` must be a list of 1 states"):
        check_optimizers([], [optimizer])
    with pytest.raises(MisfitError, match=r"`lr_schedulers\[0\].optimizer` must be an entry of a schedule"):
        check_schedules([{**schedule.state_dict(), "optimizer": 3}], [schedule])


def test_states_of_other_metrics() -> None:
    from seq_modules.training.metrics.means import MeanLoss

    metric = MeanLoss()
    check_metrics({"loss": dict(metric.metric_state)}, {"loss": metric})
    for states, said in (
        ({"x": {}}, "a metric of this model"),
        ({"loss": {"update": torch.ones(1)}}, "with `"),
        ({"loss": {name: torch.ones(3) for name in metric.metric_state}}, "must be a tensor of"),
    ):
        with pytest.raises(MisfitError, match=said):
            check_metrics(states, {"loss": metric})
