"""The parser's hints, and its one line."""

from dataclasses import dataclass

import pytest

from seqlight.command.parser import Parser, did_you_mean


@dataclass
class Group:
    width: int = 1


def parser() -> Parser:
    made = Parser(prog="seqlight fit")
    made.add_argument("--max_epochs", type=int)
    made.add_argument("--net", type=Group, default=Group())
    return made


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("unrecognized arguments: --max_epoch=3", "did you mean --max_epochs?"),
        ("Option 'max_epoch' is not accepted", "did you mean --max_epochs?"),
        ("Group 'net' does not accept option 'widht'", "did you mean --net.width?"),
        ("unrecognized arguments: --zzzz", None),
        ("data: Option 'path' is not accepted", None),  # where --data.path is what was given
        ("unrecognized arguments: --width 3", "did you mean --net.width?"),
        ("unrecognized arguments: --learning_rate 0.1", "did you mean --model.optim.learning_rate?"),
        ("Something else is wrong", None),
    ],
)
def test_did_you_mean(message: str, hint: str | None) -> None:
    assert did_you_mean(parser(), message) == hint


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--max_epoch=3"], "seqlight fit: error: unrecognized arguments: --max_epoch=3; did you mean --max_epochs?"),
        (["--max_epochs=x"], "seqlight fit: error: max_epochs: expected int, not x; see `seqlight fit --help`"),
        (["--net.width=x"], "seqlight fit: error: net.width: expected int, not x; see `seqlight fit --help`"),
    ],
)
def test_an_error_is_one_line_and_code_2(capsys: pytest.CaptureFixture[str], words: list[str], line: str) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(line)
