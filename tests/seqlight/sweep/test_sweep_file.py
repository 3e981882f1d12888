"""What a sweep file may hold, and what it is told of mistakes."""

from pathlib import Path

import pytest
import yaml

from seqlight.core.errors import UserError
from seqlight.sweep import read_sweep

CONTENT = {
    "name": "tiny",
    "config": ["parity/lstm_last"],
    "metric": "test/accuracy_last",
    "grid": {"model.supervision": ["full", "last"], "seed_everything": [0, 1]},
}


def test_repetitions_are_outermost(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(
        yaml.safe_dump({**CONTENT, "grid": {"a": [1, 2], "fold": [3, 4]}, "seeds": "fold"})
    )
    sweep = read_sweep(str(tmp_path / "tiny.yaml"))
    assert [(c["fold"], c["a"]) for c in sweep.combinations] == [(3, 1), (3, 2), (4, 1), (4, 2)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"grid": {}}, "either grid or search"),
        ({"grid": {"a": 3}}, r"grid\.a must be a list"),
        ({"grid": {"a": [0, 1, 0]}}, r"grid\.a holds 0 twice"),
        ({"name": "../up"}, r"name must be that of a folder below runs/sweeps/, not '\.\./up'"),
        ({"name": "/tmp/up"}, "name must be that of a folder"),
        ({"name": ""}, "name must be that of a folder"),
        ({"grid": [1, 2]}, "grid must hold settings"),
        ({"set": ["x"]}, "set must hold settings"),
        ({"config": "parity/lstm_last"}, "config must hold a list"),
        ({"grid": {}, "search": {"a": {"low": 0.1}}}, r"search\.a needs low and high"),
        ({"grid": {}, "search": {"a": {"low": 0.1, "high": "much"}}}, r"search\.a\.high must be a number, not 'much'"),
        ({"grid": {}, "search": {"a": {"low": 1, "high": 0}}}, r"search\.a: low 1 is above high 0"),
        ({"grid": {}, "search": {"a": {"low": 0, "high": 1, "log": True}}}, "with log, low must be above 0"),
        (
            {"grid": {}, "search": {"a": {"low": 0, "high": 1, "steps": 2}}},
            r"search\.a has steps; there are high, log, low",
        ),
        ({"grid": {}, "search": {"a": {"choices": []}}}, r"search\.a\.choices must be a list of values"),
        ({"direction": "up"}, "direction must be"),
        ({"trials": 0}, "trials must be at least 1, not 0"),
        ({"trials": ["x"]}, r"trials must hold a number, not \['x'\]"),
        ({"test": "no"}, "test must hold true or false, not 'no'"),
        ({"metric": {"a": 1}}, r"metric must hold a metric, not \{'a': 1\}"),
        ({"report": {"columns": [{"a": 1}]}}, r"report\.columns must hold words, not \{'a': 1\}"),
        ({"seeds": 3}, "seeds must be a setting or a list"),
        ({"report": ["m"]}, r"report: give success, columns, curve, not \['m'\]"),
        ({"report": {"column": ["m"]}}, "report: unknown key column; there are columns, curve, success"),
        ({"report": {"columns": "m"}}, r"report\.columns must hold a list, not 'm'"),
        ({"report": {"success": {"m": "much"}}}, r"report\.success\.m must be a number, not 'much'"),
        ({"report": {"curve": 3}}, r"report\.curve must hold a metric, not 3"),
        ({"trails": 3, 3: 4}, "unknown key 3; there are"),
        ({"metric": None}, "metric is missing"),
    ],
)
def test_mistakes_in_a_sweep_file(tmp_path: Path, change: dict[str, object], said: str) -> None:
    content = {k: v for k, v in {**CONTENT, **change}.items() if v is not None}
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=said):
        read_sweep(str(tmp_path / "bad.yaml"))


def test_numbers_as_people_write_them(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(
        "name: 2024\nconfig: [parity/lstm_last]\nmetric: m\nsearch: {a: {low: 1e-4, high: 1e-1, log: true}}\n"
    )
    sweep = read_sweep(str(tmp_path / "s.yaml"))
    assert sweep.search == {"a": {"low": 1e-4, "high": 0.1, "log": True}}
    assert sweep.folder == Path("runs/sweeps/2024")


def test_a_date_is_a_word(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("name: 2024-01-02\nconfig: [parity/lstm_last]\nmetric: m\ngrid: {experiment: [2024-01-01]}\n")
    sweep = read_sweep(str(path))
    assert sweep.name == "2024-01-02"
    assert sweep.combinations == [{"experiment": "2024-01-01"}]


@pytest.mark.parametrize(
    ("text", "said"), [("a: [", "not valid YAML"), ("- a", "holds no settings"), ("name:\n", "the key name is missing")]
)
def test_files_that_are_no_sweep_are_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(UserError, match=rf"^sweep .*bad\.yaml: {said}"):
        read_sweep(str(tmp_path / "bad.yaml"))
