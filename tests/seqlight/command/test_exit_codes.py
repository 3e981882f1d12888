"""SIGTERM and SIGHUP are exceptions where they arrive, and the handlers there were before come back."""

import os
import signal
import sys
from collections.abc import Callable

import pytest

from seqlight import main as program
from seqlight.command.exit_codes import ending_on_signals, interruption
from seqlight.core.errors import Terminated


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_what_runs(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Terminated) as ended, ending_on_signals():
        os.kill(os.getpid(), number)
    assert ended.value.number == number
    assert signal.getsignal(number) is before


def test_nohup_outlives_the_terminal() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ending_on_signals():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_process_that_was_forked_off_just_ends() -> None:
    with ending_on_signals():
        child = os.fork()
        if not child:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM


@pytest.mark.parametrize(
    ("kind", "code", "said"),
    [
        (Terminated, 143, "stopped by SIGTERM"),
        (lambda: Terminated(signal.SIGUSR1), 138, "stopped by SIGUSR1"),
        (KeyboardInterrupt, 130, ""),
    ],
)
def test_what_lightning_makes_an_exit_code_of_is_found_again(
    kind: Callable[[], KeyboardInterrupt],
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fit(words: list[str]) -> int:
        try:
            try:
                raise kind()
            except KeyboardInterrupt:
                raise SystemExit(1)  # noqa: B904  as Lightning does
        except SystemExit as stop:
            raise interruption(stop) or stop from None

    monkeypatch.setattr(program, "train_test_predict", fit)
    monkeypatch.setattr(sys, "argv", ["seqlight", "fit"])
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code == code
    assert said in capsys.readouterr().err
    assert interruption(SystemExit(1)) is None
