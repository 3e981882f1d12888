"""Nets of forecasts against independent computations: NumPy by hand, torch.nn, the authors' formulas."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seq_modules.nets.forecast.forecast_net import ForecastNet, ForecastNetConfig
from seq_modules.nets.forecast.linear import DLinear, NLinear, moving_average
from seq_modules.nets.forecast.patch_transformer import PatchConfig, cut
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.text.transformer_encoder import TransformerEncoderConfig
from seqlight.core.errors import UserError

B, L, H, C = 5, 24, 7, 3
KINDS = ("seasonal_naive", "nlinear", "dlinear", "recurrent", "transformer")
LEVELS = [0.1, 0.5, 0.9]


def made(kind: str = "nlinear", channels: str = "shared", levels: list[float] | None = None, **fields: Any) -> Any:
    torch.manual_seed(0)
    fields = {
        "rnn": RecurrentConfig("gru", 6), "patches": PatchConfig(8, 4, d_model=8), "kernel_size": 5,
        "transformer": TransformerEncoderConfig(1, 2, dropout=0.0), **fields,
    }  # fmt: skip
    net = ForecastNet(L, H, C, 4, levels, ForecastNetConfig(kind, channels, **fields)).double()  # type: ignore[arg-type]
    return net.eval()


def past(batch: int = B, channels: int = C) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, L, channels, generator=generator, dtype=torch.float64).cumsum(1)


def test_nlinear_and_its_gradient_are_the_formula() -> None:
    torch.manual_seed(0)
    net, x = NLinear(L, H, 1, 1).double(), past(channels=1)
    target = torch.randn(B, H, 1, 1, dtype=torch.float64)
    forecast = net(x)
    (forecast - target).square().sum().backward()
    weight, bias = net.linear.weight.detach().numpy(), net.linear.bias.detach().numpy()
    expected, d_weight, d_bias = np.empty((B, H)), np.zeros((H, L)), np.zeros(H)
    for row, series in enumerate(x[:, :, 0].numpy()):
        change = series - series[-1]
        for step in range(H):
            expected[row, step] = series[-1] + bias[step] + sum(weight[step, t] * change[t] for t in range(L))
            error = 2 * (expected[row, step] - target[row, step, 0, 0].item())
            d_bias[step] += error
            d_weight[step] += error * change
    np.testing.assert_allclose(forecast[:, :, 0, 0].detach(), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(net.linear.weight.grad, d_weight, rtol=0, atol=1e-10)
    np.testing.assert_allclose(net.linear.bias.grad, d_bias, rtol=0, atol=1e-10)


def test_dlinear_and_its_gradient_are_the_formula() -> None:
    torch.manual_seed(0)
    net, x, kernel = DLinear(L, H, 1, 1, 5).double(), past(channels=1), 5
    target = torch.randn(B, H, 1, 1, dtype=torch.float64)
    forecast = net(x)
    (forecast - target).square().sum().backward()
    series = x[:, :, 0].numpy()
    trend = np.empty_like(series)
    for t in range(L):
        around = [series[:, min(max(t + k, 0), L - 1)] for k in range(-(kernel // 2), kernel // 2 + 1)]
        trend[:, t] = np.mean(around, axis=0)
    parts = {"trend": trend, "seasonal": series - trend}
    expected = sum(
        part @ getattr(net, name).weight.detach().numpy().T + getattr(net, name).bias.detach().numpy()
        for name, part in parts.items()
    )
    np.testing.assert_allclose(moving_average(x, kernel)[:, :, 0], trend, rtol=0, atol=1e-12)
    np.testing.assert_allclose(forecast[:, :, 0, 0].detach(), expected, rtol=0, atol=1e-12)
    error = 2 * (expected - target[:, :, 0, 0].numpy())
    for name, part in parts.items():
        np.testing.assert_allclose(getattr(net, name).weight.grad, error.T @ part, rtol=0, atol=1e-10)
        np.testing.assert_allclose(getattr(net, name).bias.grad, error.sum(0), rtol=0, atol=1e-10)


def test_a_trained_nlinear_reaches_least_squares() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, 6, 1, generator=generator, dtype=torch.float64)
    y = x[:, -1:] + x[:, :2] * 0.5 + torch.randn(400, 2, 1, generator=generator, dtype=torch.float64)
    torch.manual_seed(0)
    net = NLinear(6, 2, 1, 1).double()
    optimizer = torch.optim.LBFGS(net.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = (net(x)[..., 0] - y).square().mean()
        value.backward()
        return value

    optimizer.step(loss)  # type: ignore[arg-type]
    design = np.hstack(((x - x[:, -1:])[:, :, 0].numpy(), np.ones((400, 1))))
    solution = np.linalg.lstsq(design, (y - x[:, -1:])[:, :, 0].numpy(), rcond=None)[0]
    best = np.square(design @ solution + x[:, -1].numpy() - y[:, :, 0].numpy()).mean()
    assert loss().item() == pytest.approx(best, rel=1e-6)


def test_the_naive_forecast_repeats_the_last_season() -> None:
    x = past()
    expected = torch.stack([x[:, L - 4 + step % 4] for step in range(H)], dim=1)
    for levels in (None, LEVELS):
        net = made("seasonal_naive", levels=levels)
        forecast = net(x)
        torch.testing.assert_close(forecast, expected[..., None].expand(-1, -1, -1, len(levels or [1])))
        nn.init.ones_(net.nets[0].distances)  # the median stays
        torch.testing.assert_close(net(x)[..., len(levels or [1]) // 2], expected)
        net(x).sum().backward()
        moved = net.nets[0].distances.grad.abs().sum((0, 1)) > 0
        assert moved.tolist() == ([True, False, True] if levels else [False])


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_recurrent_forecast_is_that_of_torch(cell: str) -> None:
    net, x = made("recurrent", "joint", rnn=RecurrentConfig(cell, 6)), past()  # type: ignore[arg-type]
    theirs = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[cell](C, 6, batch_first=True).double()
    theirs.load_state_dict(net.nets[0].rnn.state_dict())
    states = theirs(x)[0][:, -1]
    head = net.nets[0].head
    expected = (states @ head.weight.T + head.bias).view(B, H, C, 1)
    torch.testing.assert_close(net(x), expected, rtol=0, atol=1e-12)


def test_patches_are_cut_as_in_a_loop() -> None:
    x, (length, stride) = past(), (8, 5)
    padded = torch.cat((x, x[:, -1:].expand(-1, stride, -1)), dim=1)
    starts = range(0, L + stride - length + 1, stride)
    expected = torch.stack([torch.cat([padded[:, s : s + length, c] for c in range(C)], dim=1) for s in starts], dim=1)
    torch.testing.assert_close(cut(x, length, stride), expected)
    assert len(starts) == (L - length) // stride + 2


@pytest.mark.parametrize("kind", KINDS)
def test_shared_nets_treat_each_series_by_itself_and_alike(kind: str) -> None:
    net, x = made(kind, levels=LEVELS), past()
    forecast = net(x)
    assert forecast.shape == (B, H, C, 3)
    order = [2, 0, 1]
    torch.testing.assert_close(net(x[:, :, order]), forecast[:, :, order], rtol=0, atol=1e-12)
    other = x.clone()
    other[:, :, 0] += 1
    torch.testing.assert_close(net(other)[:, :, 1:], forecast[:, :, 1:], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_own_nets_are_each_series_alone_and_joint_ones_read_all(kind: str) -> None:
    x = past()
    own = made(kind, "own")
    expected = torch.cat([net(x[:, :, at : at + 1]) for at, net in enumerate(own.nets)], dim=2)
    torch.testing.assert_close(own(x), expected)
    joint, other = made(kind, "joint"), x.clone()
    other[:, ::2, 0] += 1
    moved = (joint(other) - joint(x))[:, :, 1:].abs().max() > 1e-6
    assert joint(x).shape == (B, H, C, 1)
    assert bool(moved) == (kind != "seasonal_naive")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "seasonal_naive"])
def test_the_whole_look_back_is_read_by_the_nets_that_learn(kind: str) -> None:
    net = made(kind)
    x = past().requires_grad_()
    net(x).square().sum().backward()
    assert (x.grad.abs().sum((0, 2)) > 0).all()  # type: ignore[union-attr]


@pytest.mark.parametrize("norm", ["plain", "affine"])
@pytest.mark.parametrize("channels", ["shared", "own", "joint"])
def test_reversible_normalisation_is_that_of_its_paper(norm: str, channels: str) -> None:
    net, x = made("dlinear", channels, instance_norm=norm), past()
    gains, shifts = torch.ones(C, dtype=torch.float64), torch.zeros(C, dtype=torch.float64)
    if norm == "affine":
        for at, part in enumerate(net.nets):
            nn.init.uniform_(part.gain, 0.5, 2)
            nn.init.normal_(part.shift)
            if channels == "joint":
                gains, shifts = part.gain.detach(), part.shift.detach()
            elif channels == "own":
                gains[at], shifts[at] = part.gain.detach()[0], part.shift.detach()[0]
            else:
                gains[:], shifts[:] = part.gain.detach()[0], part.shift.detach()[0]
    inner = made("dlinear", channels)
    inner.nets = nn.ModuleList(part.net for part in net.nets)
    mean, deviation = x.mean(1, keepdim=True), (x.var(1, keepdim=True, unbiased=False) + 1e-5).sqrt()
    inside = inner((x - mean) / deviation * gains + shifts)[..., 0]
    expected = (inside - shifts) / (gains + (1e-10 if norm == "affine" else 0)) * deviation + mean
    torch.testing.assert_close(net(x)[..., 0], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_normalised_forecasts_move_with_the_level_and_the_size_of_a_series(kind: str) -> None:
    net, x = made(kind, instance_norm="plain"), past()
    torch.testing.assert_close(net(50 + 7 * x), 50 + 7 * net(x), rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "arima"}, "net.kind must be one of"),
        ({"channels": "all"}, "net.channels must be one of"),
        ({"instance_norm": "layer"}, "net.instance_norm must be one of"),
        ({"kernel_size": 4}, "net.kernel_size must be an odd number, 1 or more, not 4"),
        ({"rnn": RecurrentConfig(bidirectional=True)}, "net.rnn.bidirectional must be false"),
        ({"kind": "transformer", "patches": PatchConfig(30)}, "net.patches.length 30 must be at most lookback 24"),
        ({"kind": "transformer", "patches": PatchConfig(8, 4, 9)}, "net.transformer.num_heads 2 must divide"),
    ],
)
def test_what_does_not_fit_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        made(**fields)


def test_a_season_longer_than_the_look_back_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"net\.kind seasonal_naive reads a season of 30 steps, and lookback 24 is less"
    ):
        ForecastNet(L, H, C, 30, None, ForecastNetConfig("seasonal_naive"))
    for wrong in ({"stride": 9}, {"length": 0}, {"d_model": 0}, {"head_dropout": 1.0}):
        with pytest.raises(UserError, match=r"net\.patches\."):
            PatchConfig(**{"length": 8, "stride": 4, **wrong})  # type: ignore[arg-type]
