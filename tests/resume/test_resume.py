"""A run that was broken off and resumed ends with the very weights of one that was not."""

import contextlib
import gc
import shutil
import signal
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Run
from helpers.commands.runs import fit as fit_command
from helpers.commands.runs import signal_at
from helpers.toy import ToyData, ToyModule
from helpers.toy_text import SignalAt
from helpers.trainers import quiet_trainer
from lightning.pytorch import Callback, Trainer, seed_everything

from seq_modules.callbacks import BestCheckpoint, GracefulStop, LastCheckpoint, RNGState
from seqlight.core.errors import Stopped

EPOCH = 10  # batches: 37 rows, 4 in a batch


class Widths(Callback):
    """Keeps an epoch's training metric."""

    def __init__(self) -> None:
        self.seen: dict[int, float] = {}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        if "train/width" in trainer.callback_metrics:
            self.seen[trainer.current_epoch] = trainer.callback_metrics["train/width"].item()


def fit(
    folder: Path,
    workers: int = 0,
    resume: Path | None = None,
    stop_at: int | None = None,
    seed: int = 0,
    log_every: int = 2,
    extra: tuple[Callback, ...] = (),
    data: ToyData | None = None,
) -> ToyModule:
    seed_everything(seed, verbose=False)
    module, callbacks = ToyModule(), [*extra, RNGState(), BestCheckpoint(), LastCheckpoint(), GracefulStop()]
    if stop_at is not None:
        callbacks.append(SignalAt(stop_at))
    trainer = quiet_trainer(folder, *callbacks, max_epochs=3, log_every_n_steps=log_every)
    with contextlib.suppress(Stopped):
        trainer.fit(
            module, data or ToyData(num_workers=workers), ckpt_path=resume, weights_only=True if resume else None
        )
    return module


@pytest.fixture(autouse=True)
def _no_signal_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GracefulStop, "received", 0)


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
@pytest.mark.parametrize(("stop_at", "workers"), [(3, 0), (12, 2), (2 * EPOCH - 1, 2)])
def test_resumed_equals_uninterrupted(tmp_path: Path, stop_at: int, workers: int) -> None:
    whole = fit(tmp_path / "whole", workers)
    first = fit(tmp_path / "first", workers, stop_at=stop_at)
    assert GracefulStop.received == signal.SIGTERM
    GracefulStop.received = 0
    checkpoint = tmp_path / "first" / "checkpoints" / "last.ckpt"
    # Another seed: everything random must come from the checkpoint.
    rest = fit(tmp_path / "rest", workers, resume=checkpoint, seed=99)
    assert first.seen + rest.seen == whole.seen
    for name, value in whole.state_dict().items():
        assert torch.equal(value, rest.state_dict()[name]), name


def test_metrics_of_a_resumed_epoch_do_not_reach_into_the_next(tmp_path: Path) -> None:
    whole, rest = Widths(), Widths()
    fit(tmp_path / "whole", log_every=4, extra=(whole,))
    fit(tmp_path / "first", log_every=4, stop_at=EPOCH - 2)  # steps 4 and 8 are logged, the epoch's last is not
    GracefulStop.received = 0
    fit(tmp_path / "rest", resume=tmp_path / "first/checkpoints/last.ckpt", log_every=4, extra=(rest,))
    assert {epoch: rest.seen[epoch] for epoch in (1, 2)} == {epoch: whole.seen[epoch] for epoch in (1, 2)}


def test_training_leaves_no_handler_and_no_module_behind(tmp_path: Path) -> None:
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in signals]
    module = weakref.ref(fit(tmp_path))
    assert [signal.getsignal(number) for number in signals] == before
    gc.collect()
    assert module() is None  # a sweep trains many in one process


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first waits for the batch's end; the second does not, within the very batch."""
    before = signal.getsignal(signal.SIGINT)

    def interrupted(self: SignalAt, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.step:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(SignalAt, "on_train_batch_start", interrupted)
    with pytest.raises(SystemExit) as stopped:  # Lightning's way, which main() turns into 130
        fit(tmp_path, stop_at=3)
    assert isinstance(stopped.value.__context__, KeyboardInterrupt)
    assert not (tmp_path / "checkpoints" / "last.ckpt").exists()  # no time is taken to save
    assert signal.getsignal(signal.SIGINT) is before  # the program's own handler is back


CURRICULUM = (
    "--config=parity/rnn_curriculum", "--data.train_size=256", "--data.val_size=32", "--data.batch_size=32",
    "--trainer.log_every_n_steps=2", "--trainer.max_epochs=4", "--trainer.accelerator=cpu",
    '--trainer.callbacks=[{"class_path":"LengthCurriculum","init_args":{"start":2,"step":2,"threshold":0.4}}]',
)  # fmt: skip


@pytest.mark.parametrize("stop_at", [3, 9, 15, 20])
def test_command_with_noise_and_curriculum(run: Run, monkeypatch: pytest.MonkeyPatch, stop_at: int) -> None:
    whole = weights(fit_command(run, *CURRICULUM))
    with signal_at(monkeypatch, stop_at):
        stopped = fit_command(run, *CURRICULUM)
    resumed = weights(fit_command(run, "--ckpt_path", str(stopped)))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_max_steps_in_mid_epoch_is_gone_on_from(run: Run) -> None:
    whole = weights(fit_command(run, *CURRICULUM))
    stopped = fit_command(run, *CURRICULUM, "--trainer.max_steps=5")
    resumed = weights(fit_command(run, "--ckpt_path", str(stopped), "--trainer.max_steps=-1"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_settings_given_anew_win(run: Run) -> None:
    stopped = fit_command(run, *CURRICULUM, "--trainer.max_epochs=1")
    resumed = fit_command(
        run, "--ckpt_path", str(stopped), "--trainer.max_epochs=2", "--model.optim.weight_decay=0.5", "--data.seed=77"
    )
    content = torch.load(resumed / "checkpoints/last.ckpt", weights_only=True)
    groups = content["optimizer_states"][0]["param_groups"]
    assert [group["weight_decay"] for group in groups] == [0.5, 0.0]
    assert content["ParityDataModule"]["seed"] == 77


def test_a_resumed_run_lies_beside_the_first_wherever_that_is(run: Run, tmp_path: Path) -> None:
    elsewhere = tmp_path / "other disk" / "studies"
    assert run("fit", *CURRICULUM, "--trainer.max_epochs=1", f"--trainer.default_root_dir={elsewhere}").code == 0
    (first,) = elsewhere.rglob("last.ckpt")
    done = run("fit", "--ckpt_path", str(first), "--trainer.max_epochs=2")
    assert done.code == 0, done.err
    assert len(list((elsewhere / "parity/rnn_curriculum").iterdir())) == 2
    assert not Path("runs").exists()
    moved = tmp_path / "last.ckpt"  # no longer in a run's folder: the usual place
    shutil.copyfile(first, moved)
    assert run("fit", "--ckpt_path", str(moved), "--trainer.max_epochs=2").code == 0
    assert len(list(Path("runs/parity/rnn_curriculum").iterdir())) == 1


def test_a_finished_run_says_how_to_train_more(run: Run) -> None:
    stopped = fit_command(run, *CURRICULUM, "--trainer.max_epochs=1")
    again = run("fit", "--ckpt_path", str(stopped))
    assert again.code == 0
    assert "--trainer.max_epochs MORE" in again.out


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
@pytest.mark.parametrize("batch_size", [8, 3])
def test_another_batch_size_takes_every_row_in_its_turn(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, batch_size: int
) -> None:
    caplog.set_level("INFO")
    first = fit(tmp_path / "first", stop_at=EPOCH + 6)  # 7 batches of the second epoch are done: 28 rows
    whole = fit(tmp_path / "whole")
    GracefulStop.received = 0
    checkpoint = tmp_path / "first/checkpoints/last.ckpt"
    rest = fit(tmp_path / "rest", resume=checkpoint, data=ToyData(batch_size=batch_size))
    assert caplog.text.count(f"other settings: data.batch_size was 4 and is now {batch_size}; rows of the epoch") == 1
    order = [row for batch in whole.seen[EPOCH : 2 * EPOCH] for row in batch]
    begun = 28 // batch_size * batch_size
    left = -(-(37 - begun) // batch_size)  # batches of the second epoch
    assert [row for batch in rest.seen[:left] for row in batch] == order[begun:]
    assert sorted(row for batch in rest.seen[left:] for row in batch) == list(range(37))
    assert len(first.seen) == EPOCH + 7


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
def test_finished_run_goes_on_where_it_ended(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole")
    again = fit(tmp_path / "again", resume=tmp_path / "whole" / "checkpoints" / "last.ckpt")
    assert again.seen == []
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
def test_best_checkpoint_is_carried_over(tmp_path: Path) -> None:
    fit(tmp_path / "first", stop_at=2 * EPOCH + 3)
    GracefulStop.received = 0
    best = torch.load(tmp_path / "first/checkpoints/best.ckpt", weights_only=True)
    state = next(s for name, s in best["callbacks"].items() if name.startswith("BestCheckpoint"))
    # A score that no later epoch can reach: the old file must survive the resumed run.
    key = next(name for name in best["callbacks"] if name.startswith("BestCheckpoint"))
    best["callbacks"][key] = {**state, "best_model_score": torch.tensor(-1.0)}
    torch.save(best, tmp_path / "first/checkpoints/best.ckpt")
    fit(tmp_path / "rest", resume=tmp_path / "first/checkpoints/last.ckpt")
    kept = torch.load(tmp_path / "rest/checkpoints/best.ckpt", weights_only=True)
    assert kept["global_step"] == best["global_step"]


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
def test_a_best_checkpoint_of_something_else_is_not_carried_over(tmp_path: Path) -> None:
    fit(tmp_path / "first", stop_at=2 * EPOCH + 3)
    GracefulStop.received = 0
    (tmp_path / "first/checkpoints/best.ckpt").write_bytes(b"no checkpoint")
    module = fit(tmp_path / "rest", resume=tmp_path / "first/checkpoints/last.ckpt")
    kept = torch.load(tmp_path / "rest/checkpoints/best.ckpt", weights_only=True)
    assert all(torch.equal(value, kept["state_dict"][name]) for name, value in module.state_dict().items())
