"""MIDI datamodules in tests, from arguments without groups."""

from typing import Any

from datamodules import MidiDataModule

GROUPS = {
    "source": {"source": "kind", "num_etudes": "num_etudes"},
    "split": {
        "held_out": "held_out",
        "val_fraction": "val_fraction",
        "test_fraction": "test_fraction",
        "split_seed": "seed",
    },
    "tokens": {"tokens": "kind", "voices": "voices", "signatures": "signatures"},
    "augment": {"transpose_down": "transpose_down", "transpose_up": "transpose_up", "note_values": "note_values"},
    "windows": {"epoch_size": "epoch_size", "eval_seq_len": "eval_seq_len", "stride": "stride"},
    "prompt": {"prompt": "source", "prompt_bars": "bars", "metre": "metre", "key": "key", "samples": "samples"},
}


def midi_data(**flat: Any) -> MidiDataModule:
    """The datamodule; ``source``, ``tokens`` and ``prompt`` are the kind or the source, ``split_seed`` the split's."""
    arguments: dict[str, Any] = {}
    for name, value in flat.items():
        group = next((group for group, fields in GROUPS.items() if name in fields), None)
        if group is None:
            arguments[name] = value
        else:
            arguments.setdefault(group, {})[GROUPS[group][name]] = value
    return MidiDataModule(**arguments)
