"""DecisionBoundary: what it draws, when, and where there is nothing to draw."""

from pathlib import Path

import pytest
import torch
from helpers.trainers import quiet_trainer
from PIL import Image

from datamodules import TabularDataModule
from datamodules.tabular.shapes import ShapeConfig
from seq_modules import MLPClassifier
from seq_modules.callbacks import DecisionBoundary
from seq_modules.callbacks.points.decision_boundary import probabilities


def make(data: TabularDataModule) -> MLPClassifier:
    torch.manual_seed(0)
    return MLPClassifier(data.feature_names, data.class_names, net={"hidden_sizes": [4]})


def test_the_grid_holds_the_probabilities_of_its_points() -> None:
    data = TabularDataModule(points=ShapeConfig("spirals", 30))
    module = make(data)
    grid = probabilities(module, (-1.0, 2.0, 0.0, 3.0), resolution=4)
    assert grid.shape == (3, 4, 4)
    for row, y in enumerate((0.0, 1.0, 2.0, 3.0)):
        for column, x in enumerate((-1.0, 0.0, 1.0, 2.0)):
            expected = module(torch.tensor([[x, y]])).softmax(1)[0]
            torch.testing.assert_close(grid[:, row, column], expected)


def test_frames_after_powers_of_two_are_drawn_and_survive_a_break(tmp_path: Path) -> None:
    data = TabularDataModule(points=ShapeConfig("moons", 40), batch_size=16, seed=0)
    module, first = make(data), DecisionBoundary(resolution=8)
    trainer = quiet_trainer(tmp_path, first, max_epochs=3, limit_val_batches=0)
    trainer.fit(module, data)
    assert sorted(first._frames) == [0, 1, 2, 3]
    for name in ("decision_boundary.png", "boundary_over_training.png", "boundary_over_training.gif"):
        assert (tmp_path / "plots" / name).is_file()
    with Image.open(tmp_path / "plots/boundary_over_training.gif") as gif:
        assert gif.n_frames == 4
    trainer.save_checkpoint(tmp_path / "three.ckpt")

    again = DecisionBoundary(resolution=8, animate=False)
    resumed = quiet_trainer(tmp_path / "again", again, max_epochs=5, limit_val_batches=0)
    resumed.fit(make(data), data, ckpt_path=str(tmp_path / "three.ckpt"), weights_only=True)
    assert sorted(again._frames) == [0, 1, 2, 3, 4, 5]
    torch.testing.assert_close(again._frames[0], first._frames[0], rtol=0, atol=2e-3)  # a byte each
    assert (again._frames[5] - again._frames[0]).abs().max() > 0.01
    assert not (tmp_path / "again/plots/boundary_over_training.gif").exists()


def test_the_test_draws_its_own_points_and_three_columns_draw_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    data = TabularDataModule(points=ShapeConfig(size=40), batch_size=16)
    quiet_trainer(tmp_path, DecisionBoundary(resolution=8)).test(make(data), data, verbose=False)
    assert (tmp_path / "plots/decision_boundary.png").is_file()
    path = tmp_path / "three.csv"
    path.write_text("a,b,c,class\n" + "1,2,3,0\n4,5,6,1\n" * 10)
    data, folder = TabularDataModule(str(path), batch_size=16), tmp_path / "none"
    with caplog.at_level("INFO"):
        quiet_trainer(folder, DecisionBoundary(), max_epochs=1, limit_val_batches=0).fit(make(data), data)
    assert "DecisionBoundary draws nothing: the data has not two columns of numbers" in caplog.text
    assert not (folder / "plots").exists()
