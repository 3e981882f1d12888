"""Keys: names, key signatures, and finding the key of music."""

import numpy as np
import pytest

from datamodules.music.sources.etudes import etudes
from seqlight.music.keys import MODES, PROFILES, find_key, key_name, key_of_signature, parse_key, sharps

KEYS = [(tonic, mode) for mode in MODES for tonic in range(12)]


def test_the_key_of_each_etude_is_found() -> None:
    heard = 0
    for piece in etudes(60, 0):
        sounding = np.zeros(12)
        for _, pitch, duration, _ in piece.notes:
            sounding[pitch % 12] += duration
        heard += find_key(sounding) == piece.key
    assert heard >= 55


@pytest.mark.parametrize("key", KEYS)
def test_round_trip_of_names_and_signatures(key: tuple[int, str]) -> None:
    assert parse_key(key_name(key)) == key
    assert parse_key(key_name(key).upper().replace(" SHARP", "#").replace(" FLAT", "B")) == key
    assert -5 <= sharps(*key) <= 6
    assert key_of_signature(sharps(*key), key[1]) == key


def test_names_and_signatures_by_hand() -> None:
    assert parse_key("G major") == (7, "major")
    assert parse_key("c# minor") == parse_key("Db minor") == parse_key("D flat minor") == (1, "minor")
    assert parse_key("Cb major") == (11, "major")
    assert [sharps(*parse_key(name)) for name in ("G major", "e minor", "E flat major", "c minor")] == [1, 1, -3, -3]
    assert key_of_signature(7, "major") == (1, "major")
    assert key_of_signature(-7, "minor") == (8, "minor")


@pytest.mark.parametrize("text", ["", "G", "H major", "G dur", "G  sharp flat major", "major", "G major."])
def test_an_invalid_key_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match=r"^key .* is not a key; give C, C sharp, .* with major or minor"):
        parse_key(text)


@pytest.mark.parametrize("mode", ["major", "minor"])
@pytest.mark.parametrize("tonic", range(12))
def test_the_key_of_a_profile_and_of_a_scale_is_found(tonic: int, mode: str) -> None:
    assert find_key(np.roll(PROFILES[mode], tonic)) == (tonic, mode)
    scale = [0, 2, 4, 5, 7, 9, 11] if mode == "major" else [0, 2, 3, 5, 7, 8, 11]
    weights = np.zeros(12)
    for step in [*scale, 0, 7, 0]:
        weights[(tonic + step) % 12] += 1
    assert find_key(weights) == (tonic, mode)
