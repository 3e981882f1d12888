"""A search draws whole numbers where a setting takes no others."""

from typing import Any

import pytest

from seqlight.sweep import Sweep
from seqlight.sweep.setting_types import takes_whole_numbers


@pytest.mark.parametrize(
    ("key", "space", "whole"),
    [
        ("model.input_noise", {"low": 0, "high": 1}, False),
        ("model.init_args.optim.learning_rate", {"low": 1, "high": 10, "log": True}, False),
        ("model.net.hidden_size", {"low": 4, "high": 64, "log": True}, True),
        ("data.train_size", {"low": 64, "high": 128, "step": 64}, True),
        ("trainer.gradient_clip_val", {"low": 0, "high": 1, "step": 0.1}, False),
        ("trainer.limit_train_batches", {"low": 1, "high": 9}, True),
        ("trainer.limit_train_batches", {"low": 0.1, "high": 1}, False),
        ("seed_everything", {"low": 0, "high": 9}, True),
    ],
)
def test_numbers_are_of_the_settings_kind(key: str, space: dict[str, Any], whole: bool) -> None:
    sweep = Sweep("s", ["parity/lstm_last", "logger/csv", "{trainer: {max_steps: 2}}"], "m", search={key: space})
    assert takes_whole_numbers(sweep, key) is whole
