"""What is printed, where the terminal is not UTF-8 and where nobody reads."""

import io
import os
import sys
from pathlib import Path

import pytest

from seqlight.command.terminal import PatientOutput, complete_output, prepare_outputs
from seqlight.core.errors import WritingError

FULL = Path("/dev/full")


def test_a_reader_that_is_gone_ends_nothing() -> None:
    reader, writer = os.pipe()
    output = io.TextIOWrapper(io.BufferedWriter(PatientOutput(writer)), "utf-8", write_through=True)
    output.write("seen\n")
    output.flush()
    assert os.read(reader, 100) == b"seen\n"
    os.close(reader)
    for _ in range(3):
        output.write("x" * 100_000)
    output.flush()
    os.close(writer)


def test_characters_that_a_terminal_lacks_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, "cp1252"))
    prepare_outputs()
    print("caf\xe9 \u041f \U0001f600")
    sys.stdout.flush()
    assert shown.getvalue() == b"caf\xe9 ? ?\n"


def test_the_programs_own_streams_stay_as_they_were_set(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    for name in ("stdout", "stderr"):
        stream = io.TextIOWrapper(open(writer, "wb", closefd=False), "ascii", line_buffering=True)  # noqa: SIM115
        monkeypatch.setattr(sys, name, stream)
        monkeypatch.setattr(sys, f"__{name}__", stream)
    prepare_outputs()
    print("\xe9")
    print("\xe9", file=sys.stderr)
    assert os.read(reader, 100) == b"?\n\\xe9\n"
    os.close(reader)
    print("nobody reads this")
    os.close(writer)


@pytest.mark.skipif(not FULL.exists(), reason="Linux has a disk that is always full")
@pytest.mark.parametrize("code", [0, 2])
def test_a_listing_that_a_full_disk_loses_is_no_success(code: int) -> None:
    with FULL.open("wb", buffering=0) as disk:
        output = PatientOutput(disk.fileno())
        stream = io.TextIOWrapper(output, write_through=True)  # type: ignore[type-var]
        stream.write("a line\n")
        stream.write("another\n")
        kinds = SystemExit if code else WritingError
        with pytest.raises(kinds) as ended, complete_output(output):
            sys.exit(code)
    said = "standard output cannot be written (No space left on device); free some space"
    assert (said in str(ended.value)) == (not code)
