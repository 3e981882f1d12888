"""No test of a callback leaves a signal or compiled code behind."""

from collections.abc import Iterator

import pytest
import torch

from seq_modules.callbacks import GracefulStop


@pytest.fixture(autouse=True)
def _no_signal_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(GracefulStop, "received", 0)
    yield
    torch._dynamo.reset()
