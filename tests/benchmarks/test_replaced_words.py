"""Questions with other words: what is kept, and where the new words come from."""

import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks/studies"))

import replaced_words


def test_frequent_words_and_marks_stay_and_others_come_from_both_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"What is the Capital{'abcdefghij'[n % 10]} of country{'klmnopqrst'[n // 10]} ?" for n in range(100)]
    monkeypatch.setattr(replaced_words, "FREQUENT", 5)  # What is the of ?
    found = replaced_words.varied(texts, ["zebra", "yak"], copies=5, seed=3)
    assert found == replaced_words.varied(texts, ["zebra", "yak"], copies=5, seed=3)
    assert len(set(found)) == len(found)
    assert not set(found) & set(texts)
    own = {word for text in texts for word in text.split()} | {text.split()[3].lower() for text in texts}
    own |= {word.capitalize() for word in own}
    columns = list(zip(*(text.split() for text in found), strict=True))
    assert [set(columns[at]) for at in (0, 1, 2, 4, 6)] == [{"What"}, {"is"}, {"the"}, {"of"}, {"?"}]
    assert set(columns[3]) & {"Zebra", "Yak"} == {"Zebra", "Yak"}  # where a capital was
    assert set(columns[5]) & {"zebra", "yak"} == {"zebra", "yak"}
    assert set(columns[3]) | set(columns[5]) <= own | {"Zebra", "Yak", "zebra", "yak"}
