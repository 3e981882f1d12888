"""The forecaster: losses, units, what it learns, what a checkpoint holds."""

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.trainers import quiet_trainer
from torch.utils.data import DataLoader

import seqlight
from datamodules import ForecastDataModule
from datamodules.series.generated import GeneratedSeries
from seq_modules import Forecaster
from seq_modules.nets.forecast.forecast_net import ForecastNetConfig
from seq_modules.nets.forecast.patch_transformer import PatchConfig
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.text.transformer_encoder import TransformerEncoderConfig
from seq_modules.training.optim import OptimConfig
from seqlight.core.errors import UserError
from seqlight.core.series import SeriesStatistics

SMALL = GeneratedSeries(num_series=2, num_rows=240, seasons=[12], noise=0.1)
NET = {
    "rnn": RecurrentConfig("gru", 24), "patches": PatchConfig(8, 4, d_model=16),
    "transformer": TransformerEncoderConfig(1, 2, dropout=0.0), "kernel_size": 5,
}  # fmt: skip


def data_of(**settings: Any) -> ForecastDataModule:
    data = ForecastDataModule(
        **{"generated": SMALL, "lookback": 24, "horizon": 6, "season": 12, "batch_size": 8, "seed": 0, **settings}
    )
    data.setup("fit")
    return data


def forecaster(data: ForecastDataModule, **settings: Any) -> Forecaster:
    torch.manual_seed(0)
    rate, net = settings.pop("rate", 0.01), settings.pop("net", {})
    return Forecaster(
        data.statistics,  # type: ignore[arg-type]
        data.lookback,
        data.horizon,
        net=ForecastNetConfig(**{**NET, **net}),
        optim=OptimConfig(learning_rate=rate),
        **settings,
    )


def batch_of(data: ForecastDataModule) -> dict[str, torch.Tensor]:
    return data.train_set.__getitems__(list(range(0, 40, 3)))


def test_the_loss_is_that_of_its_name_over_observed_targets() -> None:
    data = data_of()
    batch = batch_of(data)
    batch["observed"] = torch.rand(batch["observed"].shape, generator=torch.Generator().manual_seed(0)) < 0.5
    for loss in ("mse", "mae", "pinball"):
        module = forecaster(data, loss=loss)
        step = module.step(batch)
        forecast = module.forecast_scaled(batch["past_values"])
        distance = (batch["future_values"][..., None] - forecast)[batch["observed"]]  # (N, Q)
        expected = {
            "mse": distance.square().sum(),
            "mae": distance.abs().sum(),
            "pinball": sum(
                (level * d.clamp(min=0) + (1 - level) * (-d).clamp(min=0)).sum() / 3
                for level, d in zip((0.1, 0.5, 0.9), distance.T if distance.shape[1] == 3 else [], strict=False)
            ),
        }[loss]
        torch.testing.assert_close(step.loss_sum, torch.as_tensor(expected))
        assert step.num_targets == batch["observed"].sum()


def test_values_of_the_unit_of_the_data_go_in_and_come_out() -> None:
    data = data_of()
    module, batch = forecaster(data), batch_of(data)
    known = data.statistics
    scale, center = torch.tensor(known["scale"]), torch.tensor(known["center"])
    expected = module.forecast_scaled(batch["past_values"]) * scale[:, None] + center[:, None]
    torch.testing.assert_close(module(batch["past_values"] * scale + center), expected, rtol=1e-4, atol=1e-5)


def test_quantiles_never_cross() -> None:
    data = data_of()
    module = forecaster(data, loss="pinball", quantiles=[0.05, 0.25, 0.5, 0.75, 0.95])
    crossing = module.net(batch_of(data)["past_values"])
    assert (crossing.diff(dim=-1) < 0).any()  # before training
    assert (module.forecast_scaled(batch_of(data)["past_values"]).diff(dim=-1) >= 0).all()
    assert {"coverage_50", "coverage_90", "pinball"} <= {name.removeprefix("val/") for name in module.val_metrics}


@pytest.mark.parametrize("kind", ["nlinear", "dlinear", "recurrent", "transformer"])
@pytest.mark.parametrize("loss", ["mse", "pinball"])
def test_one_batch_is_learned_by_heart(tmp_path: Path, kind: str, loss: str) -> None:
    data = data_of(horizon=2)
    data.train_set.origins = data.train_set.origins[:4]
    module = forecaster(data, loss=loss, rate=0.02, net={"kind": kind, "instance_norm": "plain"})
    batch = data.train_set.__getitems__(range(4))
    before = module.step(batch)
    trainer = quiet_trainer(tmp_path, max_epochs=1, limit_val_batches=0, log_every_n_steps=1000)
    batches = DataLoader([batch] * 150, batch_size=None)  # type: ignore[arg-type]
    trainer.fit(module, batches, val_dataloaders=batches)
    after = module.step(batch)
    assert after.loss_sum < (0.02 if loss == "mse" else 0.2) * before.loss_sum


def test_a_made_series_is_forecast_better_than_by_the_season_before(tmp_path: Path) -> None:
    data = data_of(batch_size=16)
    scores = {}
    for kind in ("seasonal_naive", "nlinear"):
        module = forecaster(data, net={"kind": kind}, rate=0.003)
        trainer = quiet_trainer(tmp_path, max_epochs=6 if kind == "nlinear" else 1)
        trainer.fit(module, datamodule=data)
        scores[kind] = trainer.test(module, datamodule=data, verbose=False)[0]
    assert scores["nlinear"]["test/mse"] < 0.8 * scores["seasonal_naive"]["test/mse"]
    assert scores["nlinear"]["test/mase"] < scores["seasonal_naive"]["test/mase"]
    # The naive forecast's own numbers, from the series themselves.
    values = data.scaled(data.series)
    first, last = data.test_set.origins.start, data.test_set.origins.stop
    errors = [
        (values[origin + step] - values[origin - 12 + step]).square()
        for origin in range(first, last)
        for step in range(6)
    ]
    assert scores["seasonal_naive"]["test/mse"] == pytest.approx(torch.stack(errors).mean().item(), rel=1e-5)


def test_rows_of_predict_are_in_the_unit_of_the_data() -> None:
    data = data_of()
    module = forecaster(data, loss="pinball")
    data.setup("predict")
    batch = data.predict_set.__getitems__([0])
    rows = module.predict_step(batch, 0)
    assert [row["index"] for row in rows] == list(range(6 * 2))
    assert [(row["date"], row["series"]) for row in rows[:3]] == [
        ("2020-01-11 00:00:00", "series_1"), ("2020-01-11 00:00:00", "series_2"), ("2020-01-11 01:00:00", "series_1"),
    ]  # fmt: skip
    known = data.statistics
    forecast = module.forecast_scaled(batch["past_values"])[0]  # (H, C, Q)
    for row, (step, series) in zip(rows, [(h, c) for h in range(6) for c in range(2)], strict=True):
        for place, level in enumerate(("0.1", "0.5", "0.9")):
            expected = forecast[step, series, place].item() * known["scale"][series] + known["center"][series]
            assert row[level] == pytest.approx(expected, rel=1e-6)


def test_a_checkpoint_alone_holds_the_scale(tmp_path: Path) -> None:
    data = data_of()
    module = forecaster(data)
    trainer = quiet_trainer(tmp_path, max_epochs=1, limit_train_batches=1, limit_val_batches=0)
    trainer.fit(module, datamodule=data)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    held = torch.load(tmp_path / "one.ckpt", weights_only=True)
    assert (
        held["hyper_parameters"]["statistics"] == data.statistics == held["datamodule_hyper_parameters"]["statistics"]
    )
    loaded = seqlight.load(tmp_path / "one.ckpt")
    x = torch.randn(2, 24, 2)
    torch.testing.assert_close(loaded(x), module.eval()(x), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "rmse"}, "loss must be one of 'mse', 'mae', 'pinball', not 'rmse'"),
        ({"loss": "pinball", "quantiles": [0.9, 0.5]}, r"quantiles must be rising levels .*, not \[0.9, 0.5\]"),
        ({"loss": "pinball", "quantiles": [0.1, 0.9]}, "0.5 among them"),
        ({"loss": "pinball", "quantiles": [0.0, 0.5]}, "between 0 and 1"),
        ({"net": {"kind": "seasonal_naive"}, "season": 24}, None),
    ],
)
def test_what_does_not_fit_is_refused(settings: dict[str, Any], message: str | None) -> None:
    data = data_of(season=settings.pop("season", 12))
    if message is None:
        forecaster(data, **settings)
        return
    with pytest.raises(UserError, match=message):
        forecaster(data, **settings)


def test_without_data_there_is_nothing_to_forecast() -> None:
    with pytest.raises(UserError, match="statistics is not given, and no data is there to take it from"):
        Forecaster()
    with pytest.raises(UserError, match="SeriesStatistics lists must have one entry a series"):
        SeriesStatistics(names=["a"], center=[0.0], scale=[1.0])
    data = data_of()
    with pytest.raises(UserError, match=r"optim\.optimizer muon needs the blocks of a Transformer"):
        Forecaster(data.statistics, 24, 6, optim=OptimConfig(optimizer="muon"))  # type: ignore[arg-type]
