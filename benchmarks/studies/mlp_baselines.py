"""The perceptron's accuracy on two circles, beside scikit-learn's support vector machine and perceptron.

    pip install scikit-learn
    python benchmarks/studies/mlp_baselines.py

For each seed, 1,000 points of ``make_circles`` (noise 0.2, factor 0.5; the seed is that of the points, of the weights
and of the order of training) are split 80/20. Ours trains by `seqlight fit --config mlp/circles`, on 640 points; the
epoch is chosen on 160 others. The two of scikit-learn have their default settings (the perceptron 2,000 iterations at
most), standardised inputs, and all 800 points, for they choose nothing on validation data. All are tested on the same
200 points. Our points are compared with scikit-learn's too. The last line has the accuracy of Bayes' classifier.

scikit-learn is no requirement of the project: torchmetrics imports SciPy, which comes with it, wherever it is found,
and each command then takes longer to start. An environment of its own is best.
"""

import argparse
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import make_circles, make_moons
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from datamodules import TabularDataModule
from datamodules.tabular.shapes import ShapeConfig, make_points
from seqlight.core.plots import read_metrics
from seqlight.sweep.training import command_line, quiet


def compare_points(seed: int) -> None:
    """Stops if our circles or moons are not scikit-learn's."""
    for shape, theirs, own in (("circles", make_circles, {"factor": 0.5}), ("moons", make_moons, {})):
        points, labels = make_points(ShapeConfig(shape, 1000, 0.2, seed=seed))  # type: ignore[arg-type]
        expected, classes = theirs(1000, noise=0.2, random_state=seed, **own)
        np.testing.assert_allclose(points, expected, rtol=0, atol=1e-14)
        np.testing.assert_array_equal(labels, classes)


def ours(seed: int, style: str, folder: Path) -> float:
    """Test accuracy of the recipe, by the command."""
    words = [
        "--config=mlp/circles", f"--model.style={style}", f"--seed_everything={seed}", f"--data.points.seed={seed}",
        "--trainer.callbacks=[]", "--trainer.accelerator=cpu", f"--trainer.default_root_dir={folder}",
    ]  # fmt: skip
    with quiet(folder / "log.txt"):
        fitted = command_line(["fit", *words])
        tested = command_line(["test", f"--ckpt_path={fitted.run_folder / 'checkpoints/best.ckpt'}"])
    return read_metrics(tested.run_folder / "metrics.csv")["test/accuracy"][-1][1]


def theirs(seed: int) -> dict[str, float]:
    """Test accuracy of scikit-learn's two."""
    data = TabularDataModule(points=ShapeConfig(seed=seed), seed=seed)
    parts = {name: tuple(tensor.numpy() for tensor in data.points(name)) for name in ("train", "val", "test")}
    x, y = (np.concatenate(both) for both in zip(parts["train"], parts["val"], strict=True))
    machines = {"RBF SVM": SVC(), "MLPClassifier": MLPClassifier(random_state=seed, max_iter=2000)}
    return {
        name: float(make_pipeline(StandardScaler(), machine).fit(x, y).score(*parts["test"]))
        for name, machine in machines.items()
    }


def best_possible(noise: float = 0.2, factor: float = 0.5) -> float:
    """Accuracy of Bayes' classifier, which knows both densities: each point goes to the class that is denser there.

    The distance r from the centre of a point on a circle of radius R with Gaussian noise σ has Rice's density,
    r/σ² exp(-(r² + R²) / 2σ²) I₀(r R / σ²).
    """
    r = np.linspace(0, 3, 30_001)
    density = [
        r / noise**2 * np.exp(-(r**2 + radius**2) / (2 * noise**2)) * np.i0(r * radius / noise**2)
        for radius in (1.0, factor)
    ]
    return float(np.trapezoid(np.maximum(*density), r)) / 2


def main() -> None:
    """Measures every seed and prints a line each, then the means."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--style", default="module", choices=("numpy", "parameters", "sequential", "module"))
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    names = ("ours", "RBF SVM", "MLPClassifier")
    rows = []
    print(f"| seed | {' | '.join(names)} |\n|---|---|---|---|")
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(given.seeds):
            compare_points(seed)
            found = {"ours": ours(seed, given.style, Path(folder)), **theirs(seed)}
            rows.append([100 * found[name] for name in names])
            print(f"| {seed} | {' | '.join(f'{value:.1f}' for value in rows[-1])} |", flush=True)
    columns = list(zip(*rows, strict=True))
    print(f"| mean | {' | '.join(f'{statistics.mean(column):.2f}' for column in columns)} |")
    print(f"best possible: {100 * best_possible():.2f}; {time.process_time() - started:.0f} s of CPU time")


if __name__ == "__main__":
    main()
