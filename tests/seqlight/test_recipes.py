"""Recipes: found by name wherever the package is, and nothing outside them."""

from pathlib import Path

import pytest
from conftest import ROOT

from seqlight.core.errors import UserError
from seqlight.recipes import CONFIGS, DEFAULTS, check_yaml, config_path, experiment_name, recipe_path


def test_recipes_are_those_of_the_repository() -> None:
    assert ROOT / "configs" == CONFIGS
    assert recipe_path("parity/lstm_last") == recipe_path("parity/lstm_last.yaml") == CONFIGS / "parity/lstm_last.yaml"
    assert recipe_path("../pyproject.toml") is None
    assert recipe_path("parity") is None


def test_a_file_comes_before_a_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert config_path("parity/lstm_last") == str(CONFIGS / "parity/lstm_last.yaml")
    (tmp_path / "parity").mkdir()
    (tmp_path / "parity/lstm_last").write_text("seed_everything: 1\n")
    assert config_path("parity/lstm_last") == "parity/lstm_last"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (CONFIGS / "parity/lstm_last.yaml", "parity/lstm_last"),
        (CONFIGS / "trainer/bf16.yaml", None),
        (DEFAULTS, None),
        (Path("mine/first.yaml"), "first"),
        (Path("logger/mine.yaml"), None),
        ("{trainer: {max_steps: 3}}", None),
    ],
)
def test_the_name_of_an_experiment(path: Path | str, name: str | None) -> None:
    assert experiment_name(str(path)) == name


@pytest.mark.parametrize(
    ("text", "message"), [("a: [", "not valid YAML"), ("words", "holds no settings"), ("a: 1\n" * 250_000, "at most")]
)
def test_files_that_are_no_config(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(UserError, match=rf"bad\.yaml: .*{message}"):
        check_yaml(tmp_path / "bad.yaml")
