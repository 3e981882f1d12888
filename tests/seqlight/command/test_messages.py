"""Errors as one line: jsonargparse's many lines, and the option whose value a constructor refused."""

from typing import Any

import pytest
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from datamodules import ParityDataModule
from seq_modules import ParityModule, RNNLanguageModel
from seqlight.command.messages import NamedError, naming_options, one_line, user_errors, with_option
from seqlight.core.errors import UserError

UNION = """Parser key "{key}":
  Does not validate against any of the Union subtypes
  Subtypes: [{types}]
  Errors:
    - {first}
    - Expected a <class 'NoneType'>
  Given value type: <class 'str'>
  Given value: {value}"""


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("plain words", "plain words"),
        ("Parser key \"net.width\":\n  Expected a <class 'int'>. Got value: abc", "net.width: expected int, not abc"),
        ("Parser key \"net.width\":\n  Expected a <class 'int'>. Got value: \n", "net.width: expected int, not ''"),
        (
            'Parser key "model":\n  Parser key "net.cell":\n    '
            "Expected a typing.Literal['rnn', 'gru']. Got value: foo",
            "model.net.cell: expected one of 'rnn', 'gru', not foo",
        ),
        (
            UNION.format(key="x", types="int, NoneType", first="Expected a <class 'int'>", value="abc"),
            "x: expected int, not abc",
        ),
        (
            UNION.format(key="model", types="Module", first="Expected a dot import path string: Foo", value="Foo"),
            "model: no class Foo is known",
        ),
        (  # a value in a group that was given as a whole
            UNION.format(key="data", types="Data", first="Expected a <class 'str'>. Got value: 1000.0", value="{...}"),
            "data: expected str, not 1000.0 (put a word in quotes)",
        ),
        (  # a group of arguments that refuses a value
            UNION.format(key="net", types="Config", first="net.dropout must be below 1, not 2", value="{...}"),
            "net: net.dropout must be below 1, not 2",
        ),
        (
            "Parser key \"bits\":\n  Expected a <class 'list'>. Got value: NestedArg(key='a', val='011')",
            """bits: expected a list, in quotes: '["...", "..."]', not NestedArg(key='a', val='011')""",
        ),
    ],
)
def test_one_line(message: str, line: str) -> None:
    assert one_line(message) == line


@pytest.mark.parametrize(
    ("text", "key", "named"),
    [
        ("input_noise must be 0", "model", "model.input_noise must be 0; see `seqlight fit --model.help ParityModule`"),
        ("net.cell is odd", "model", "model.net.cell is odd; see `seqlight fit --model.help ParityModule`"),
        ("loss is odd", "other", "other.loss is odd"),
        ("a sentence of its own", "model", "a sentence of its own"),
    ],
)
def test_a_message_gets_the_option_it_begins_with(text: str, key: str, named: str) -> None:
    assert with_option(text, key, ParityModule) == named


def test_a_group_that_names_its_class_gets_the_option_of_each_model() -> None:
    text = "RecurrentConfig.hidden_size must be at least 1, not 0"
    for cls, option in ((ParityModule, "model.net"), (RNNLanguageModel, "model.net.rnn")):
        assert with_option(text, "model", cls).startswith(f"{option}.hidden_size must be at least 1, not 0; see ")
    assert with_option(text, "data", ParityDataModule) == text


class Narrow:
    def __init__(self, width: int) -> None:
        if width > 3:
            raise UserError(f"width must be at most 3, not {width}")


def test_a_refused_value_is_named_with_the_class_or_its_option() -> None:
    def build(cls: type, *args: Any, **kwargs: Any) -> Any:
        return cls(*args, **kwargs)

    assert isinstance(naming_options(build, None)(Narrow, 3, applied_instantiation_links={}), Narrow)
    for key, name in ((None, "Narrow"), ("part", "part")):
        with pytest.raises(NamedError, match=rf"^{name}\.width must be at most 3, not 4$"):
            naming_options(build, key)(Narrow, width=4, applied_instantiation_links={})


def test_what_lightning_calls_a_misconfiguration_is_the_users() -> None:
    with pytest.raises(UserError, match="no such monitor"), user_errors():
        raise MisconfigurationException("no such\nmonitor")
    with pytest.raises(UserError, match=r"trainer\.val_check_interval \(9\) must be less"), user_errors():
        raise ValueError(
            " `val_check_interval` (9) must be less than or equal to the number of the training batches (1)."
        )
    with pytest.raises(ValueError, match="a fault"), user_errors():
        raise ValueError("a fault")
    with pytest.raises(RuntimeError), user_errors():
        raise RuntimeError("a fault of the program")
