"""Reading pairs: what is read, what is named, what is refused."""

import json
import sys
import types

import pytest

from seq_modules.probes import sources
from seq_modules.probes.pairs import Pair
from seq_modules.probes.sources import from_blimp, from_csv, from_hub


def test_csv_names_its_faults_and_reads_the_rest(tmp_path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(
        '\ufeffgood,bad\nHe runs.,He run.\n"A, b.","A\nb."\nonly one\n\nx,y,z\n ,b\nsame,same\nlast,lsat\n', "utf-8"
    )
    found = from_csv(file)
    assert found.pairs == [
        Pair("He runs.", "He run.", "mine", "mine"),
        Pair("A, b.", "A\nb.", "mine", "mine"),
        Pair("last", "lsat", "mine", "mine"),
    ]
    assert [problem.removeprefix(str(file)) for problem in found.problems] == [
        ":5: 1 columns instead of 2",
        ":7: 3 columns instead of 2",
        ":8: a text is empty",
        ":9: the two texts are identical",
    ]


def test_a_cell_too_large_for_csv_is_one_bad_row(tmp_path) -> None:
    file = tmp_path / "big.csv"
    file.write_text(f"{'x' * 200_000},y\n{'x' * 20_000},y\na,b\n")
    found = from_csv(file, "name")
    assert found.pairs == [Pair("a", "b", "name", "name")]
    assert [problem.rpartition(":")[0] for problem in found.problems] == [f"{file}:1", f"{file}:2"]


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"\xff\xfe,b\n", r"^path '.*' is not UTF-8"), (b"", "has no valid pair$"), (b"a\n", r":1: 1 columns")],
)
def test_files_without_pairs_are_refused(tmp_path, content, text) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(ValueError, match=text):
        from_csv(tmp_path / "x.csv")


def test_missing_and_huge_files_are_refused(tmp_path, monkeypatch) -> None:
    with pytest.raises(FileNotFoundError, match=r"^path '.*nowhere.csv' is not a file"):
        from_csv(tmp_path / "nowhere.csv")
    with pytest.raises(FileNotFoundError, match=r"^path '.*' has no .jsonl files"):
        from_blimp(tmp_path)
    (tmp_path / "x.jsonl").write_text("{}\n" * 10)
    monkeypatch.setattr(sources, "MAX_BYTES", 20)
    with pytest.raises(ValueError, match=r"^path '.*' has more than 20 bytes"):
        from_blimp(tmp_path / "x.jsonl")


def row(number: int, **more: object) -> str:
    return json.dumps({"sentence_good": f"Good {number}.", "sentence_bad": f"Bad {number}.", **more})


def test_blimp_files_and_folders(tmp_path) -> None:
    (tmp_path / "b.jsonl").write_text("\n".join([row(1, UID="kind_b"), row(2, UID="kind_b"), row(3, UID="kind_b")]))
    (tmp_path / "a.jsonl").write_text(
        "\n".join([row(1), "", "{not json", "[1]", '{"sentence_good": 1, "sentence_bad": 2}', "[" * 100_000, "{}"])
    )
    found = from_blimp(tmp_path, limit=2)
    assert [(pair.good, pair.kind) for pair in found.pairs] == [
        ("Good 1.", "a"),
        ("Good 1.", "kind_b"),
        ("Good 2.", "kind_b"),
    ]
    assert {pair.suite for pair in found.pairs} == {"blimp"}
    assert [problem.rpartition("a.jsonl:")[2] for problem in found.problems] == [
        "3: not JSON",
        "4: no sentence_good and sentence_bad",
        "5: a text is not a string",
        "6: not JSON",
        "7: no sentence_good and sentence_bad",
    ]
    assert len(from_blimp(tmp_path / "b.jsonl").pairs) == 3


class Rows(list):
    def select(self, places):
        return [self[place] for place in places]


def fake_hub(monkeypatch, load) -> None:
    module = types.SimpleNamespace(get_dataset_config_names=lambda name, revision: ["k1", "k2"], load_dataset=load)
    monkeypatch.setitem(sys.modules, "datasets", module)


def test_hub_has_one_configuration_a_kind(monkeypatch) -> None:
    asked = []

    def load(name, kind, split, revision):
        asked.append((name, kind, split, revision))
        return Rows({"sentence_good": f"{kind} good {n}", "sentence_bad": f"{kind} bad {n}"} for n in range(3))

    fake_hub(monkeypatch, load)
    found = from_hub(limit=2, revision="main")
    assert asked == [("nyu-mll/blimp", kind, "train", "main") for kind in ("k1", "k2")]
    assert [(pair.good, pair.kind) for pair in found.pairs] == [
        (f"{k} good {n}", k) for k in ("k1", "k2") for n in (0, 1)
    ]
    assert [pair.kind for pair in from_hub(kinds=["k2"]).pairs] == ["k2"] * 3


def test_hub_out_of_reach_is_one_line_with_the_way_out(monkeypatch) -> None:
    def load(*_, **__):
        raise ConnectionError("Couldn't reach it\nand more")

    fake_hub(monkeypatch, load)
    with pytest.raises(ValueError, match=r"^hub 'nyu-mll/blimp' cannot be read \(Couldn't reach it\); .* path [^\n]*$"):
        from_hub()
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match=r"^hub 'x' needs the package datasets"):
        from_hub("x")
