"""A parity net is proved, refuted by a string, or refused."""

import pytest
import torch
from helpers.parity_nets import two_units

from seq_modules import ParityModule
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.verification.counterexample import by_runs, find_counterexample
from seq_modules.verification.parity import parity_net, prove
from seqlight.core.errors import UserError


def test_a_right_net_is_proved() -> None:
    outcome = prove(two_units("gru"))
    assert outcome.verdict == "proved"
    assert str(outcome).startswith("proved: right after every bit of every string (")


def test_a_wrong_net_is_refuted_by_a_string_on_which_it_is_wrong() -> None:
    module = two_units("rnn")
    with torch.no_grad():
        module.net.weight_hh_l0.mul_(0.2)  # type: ignore[operator]
    outcome = prove(module)
    assert outcome.verdict == "refuted"
    string = outcome.counterexample
    assert string
    with torch.no_grad():
        logits, _ = module(torch.tensor([list(map(int, string))]))
    right = [(logit > 0) == (string[: i + 1].count("1") % 2 == 1) for i, logit in enumerate(logits[0].tolist())]
    assert right == [True] * (len(string) - 1) + [False]
    assert str(outcome) == f"refuted: wrong after bit {len(string)} of {by_runs(string)}"


def test_a_right_net_has_no_counterexample() -> None:
    assert find_counterexample(two_units("lstm"), length=50) is None


def test_runs_are_counted() -> None:
    assert by_runs("1" + "0" * 75 + "11") == "1 0x75 1x2"


@pytest.mark.parametrize(
    ("fields", "named"),
    [({"num_layers": 2}, "num_layers 2"), ({"cell": "rnn", "nonlinearity": "relu"}, "nonlinearity relu")],
)
def test_other_nets_are_refused(fields: dict[str, object], named: str) -> None:
    with pytest.raises(UserError, match=f"^prove: the net must have one layer .*{named}"):
        parity_net(ParityModule(RecurrentConfig(hidden_size=2, **fields)))  # type: ignore[arg-type]


def test_other_systems_and_half_precision_are_refused() -> None:
    with pytest.raises(UserError, match=r"^prove: .* proofs are of ParityModule alone"):
        parity_net(torch.nn.Linear(1, 1))  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"^prove: the weights are torch\.bfloat16"):
        parity_net(two_units("rnn").bfloat16())
