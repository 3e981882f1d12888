"""Fixtures of the whole suite: the command line in this process, and one trained run."""

import contextlib
import ctypes
import gc
import io
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import pytest

# Some virtual machines announce AMX and end bf16 products in an illegal instruction; read when torch is first used.
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")

if hasattr(signal, "SIGHUP"):  # `nohup make test` ignores it, which commands respect and tests of it cannot
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(Path(__file__).parent))  # `import toy`

from seq_modules.callbacks import Curves, GracefulStop  # noqa: E402
from seqlight.main import main  # noqa: E402

SMALL = (
    "--data.train_size=256", "--data.val_size=64", "--data.test_size=64", "--data.batch_size=32",
    "--trainer.log_every_n_steps=2", "--trainer.accelerator=cpu",
)  # fmt: skip


@dataclass
class Result:
    """What a command did: its exit code and what it printed."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests in the browser follow those of several processes: they take a minute, beside others and not after."""
    page = [item for item in items if item.path.name == "test_page.py"]
    others = [item for item in items if item.path.name != "test_page.py"]
    at = max((number for number, item in enumerate(others, 1) if "distributed" in item.path.parts), default=0)
    items[:] = others[:at] + page + others[at:]


def pytest_collection_finish() -> None:
    """What the imports have made stays: a collection that does not look at it takes a small part of the time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def freed_memory() -> Iterator[None]:
    """Gives back to the system what a file's tests have freed; malloc would keep hundreds of megabytes of it."""
    yield
    gc.collect()
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):  # of glibc
        trim(0)


@pytest.fixture
def pictures() -> None:
    """For tests of pictures: the runs of :func:`run` draw their curves, which takes longer than most of them."""


@pytest.fixture
def run(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Run:
    """Runs ``seqlight WORDS`` in this process, in an empty folder with a cache of its own (home/seqlight)."""
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr(Curves, "on_fit_end", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    matplotlib.get_cachedir()  # remembered from here on: its table of fonts lies in the same place and takes seconds
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SEQLIGHT_DEBUG", raising=False)

    def call(*words: str) -> Result:
        monkeypatch.setattr(GracefulStop, "received", 0)
        monkeypatch.setattr(sys, "argv", ["seqlight", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_info:
            main()
        code = exit_info.value.code
        return Result(code if isinstance(code, int) else int(code is not None), *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def wandb_offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """W&B in this process, for whose runs one service is started: offline, silent, with folders of its own."""
    folder = tmp_path_factory.mktemp("wandb")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
            patch.setenv(name, str(folder / name))
        for name, value in {"WANDB_MODE": "offline", "WANDB_CONSOLE": "off", "WANDB_SILENT": "true"}.items():
            patch.setenv(name, value)
        yield
        import wandb

        wandb.teardown()


def run_in(folder: Path, *words: str, pictures: bool = False) -> str:
    """Runs ``seqlight WORDS`` in this process, for the fixtures that several tests share; what it printed.

    Args:
        folder: Where it runs, with a cache of its own.
        words: A command that must succeed.
        pictures: Whether its curves are drawn.
    """
    matplotlib.get_cachedir()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as said:
        if not pictures:
            patch.setattr(Curves, "on_fit_end", lambda *_: None)
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "home"))
        patch.setattr(GracefulStop, "received", 0)
        patch.setattr(sys, "argv", ["seqlight", *words])
        with pytest.raises(SystemExit) as exit_info:
            main()
        assert exit_info.value.code == 0
    return said.getvalue()


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs/parity/lstm_last/<time>: one epoch of the smallest training, made once."""
    folder = tmp_path_factory.mktemp("trained")
    words = ("--config=parity/lstm_last", *SMALL, "--trainer.max_epochs=1", "--model.net.hidden_size=4")
    run_in(folder, "fit", *words, pictures=True)
    return folder


@pytest.fixture
def run_folder(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained run in this test's own folder, relative to which ``run`` works."""
    shutil.copytree(trained / "runs", tmp_path / "runs")
    return next((tmp_path / "runs/parity/lstm_last").iterdir())
