"""Which errors mean that another process of the run is gone; that one is killed is tested in tests/distributed/."""

from types import SimpleNamespace
from typing import Any

import pytest

from seqlight.command.lost_process import ending_together, is_lost_connection, lost_process


class Process:
    """A process that the launcher started; ``code`` is None while it runs."""

    pid = 12

    def __init__(self, code: int | None) -> None:
        self.code = code

    def poll(self) -> int | None:
        return self.code


def run_of(*codes: int | None, **more: Any) -> Any:
    """A trainer of rank 0 whose launcher started one process for each exit code."""
    launcher = SimpleNamespace(procs=[Process(code) for code in codes])
    settings = {"global_rank": 0, "local_rank": 0, "world_size": len(codes) + 1, "num_nodes": 1} | more
    fit = {"state": SimpleNamespace(fn=None), "strategy": SimpleNamespace(launcher=launcher)}
    return SimpleNamespace(**fit, **settings)


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("[gloo/transport/tcp/pair.cc:537] Read error [127.0.0.1]:25484: Connection reset by peer. This is", True),
        ("[gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:13733", True),
        (
            "ncclRemoteError: A call failed possibly due to a network error or a remote process exiting prematurely.",
            True,
        ),
        ("The size of tensor a (3) must match the size of tensor b (4)", False),
    ],
)
def test_what_torch_says_of_a_lost_connection(text: str, lost: bool) -> None:
    assert is_lost_connection(RuntimeError(text)) is lost
    later = ValueError("while tidying up")
    later.__context__ = RuntimeError(text)
    assert is_lost_connection(later) is lost


def test_how_a_process_ended() -> None:
    assert lost_process(run_of(None, -9)) == "rank 2 (process 12) has ended: killed by signal 9 (Killed)"
    assert lost_process(run_of(1)) == "rank 1 (process 12) has ended: exit code 1"
    assert lost_process(run_of(global_rank=1, world_size=2)) == "rank 0 is gone"  # of torchrun
    assert lost_process(run_of(global_rank=2, world_size=3)) == ""


@pytest.mark.parametrize("code", [None, 0])
def test_a_connection_to_somebody_else_keeps_its_traceback(code: int | None) -> None:
    with pytest.raises(RuntimeError, match="refused"), ending_together(run_of(code)):
        raise RuntimeError("Connection refused: the tracker's server")


def test_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEQLIGHT_DEBUG", raising=False)
    with pytest.raises(SystemExit) as ended, ending_together(run_of(-9)):
        raise RuntimeError("Connection closed by peer")
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("seqlight: error: rank 1 (process 12) has ended: killed by signal 9 (Killed), and the run")
    assert said.count("\n") == 1
