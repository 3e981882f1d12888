"""Everything that this program or Lightning reads in a checkpoint, and of which kind it must be.

What only fits the objects that take it up (an optimiser's state, a training loop's) is compared with those in
seqlight/command/saved_settings.py and seq_modules/callbacks/run/resume_training.py. Entries that nobody reads are left
alone.
"""

from typing import Any

from packaging.version import InvalidVersion, Version

from seqlight.core.checkpoint_file.kinds import (
    Kind,
    MisfitError,
    anything,
    boolean,
    count,
    either,
    integer,
    listing,
    mapping,
    number,
    optional,
    record,
    row,
    scalar,
    tensor,
    text,
)

OLDEST, NEWEST = Version("2.0"), Version("3.0.dev0")  # of Lightning, which changes what older ones have written


def version(place: str, value: Any) -> None:
    """The version of Lightning that wrote the file."""
    text(place, value)
    try:
        found = Version(value)
    except InvalidVersion:
        raise MisfitError(place, "a version", value) from None
    if not OLDEST <= found < NEWEST:
        raise MisfitError(place, f"a version from {OLDEST} to below 3", value)


def callbacks(place: str, value: Any) -> None:
    """The states of callbacks, each under the callback's name, which may be followed by its settings in braces."""
    mapping(mapping(anything, (str, int)))(place, value)
    for key, state in value.items():
        if (kind := CALLBACKS.get(key.partition("{")[0])) is not None and state:
            kind(f"{place}.{key.partition('{')[0]}", state)


def data_state(place: str, value: Any) -> None:
    """The state of a datamodule: where it stood in an epoch, or in its streams, if it had begun one."""
    record({"seed": count}, DATA)(place, value)
    if "epoch" in value:
        record({"rows": count})(place, value)
    if "streams" in value:
        record(dict.fromkeys(("epoch", *STREAMS), anything))(place, value)


WEIGHTS = mapping(tensor)
SETTINGS = mapping(anything)
CONFIGURED = record({"class_path": text}, {"init_args": optional(SETTINGS)})
BEST = record(
    {"best_model_path": text, "best_model_score": optional(scalar), "dirpath": optional(text)},
    {
        "best_k_models": mapping(scalar),
        "kth_best_model_path": text,
        "kth_value": scalar,
        "last_model_path": text,
        "current_score": optional(scalar),
    },
)
CALLBACKS: dict[str, Kind] = {
    "RNGState": record({"ranks": listing(SETTINGS)}),
    "BestCheckpoint": BEST,
    "ModelCheckpoint": BEST,
    "EarlyStopping": record({"wait_count": count, "stopped_epoch": count, "best_score": scalar, "patience": count}),
    "GradientFlow": record({"flows": listing(row(count, mapping(listing(number)), mapping(number)))}),
    "TimeBudget": record({"used": number}),
    "StopWhenSolved": record(
        {"held": count, "first_step": integer, "first_seconds": number, "done": boolean, "seconds": number}
    ),
    "LengthCurriculum": record({"max_length": count, "passed": count}),
    "EMA": record({"updates": count, "last_step": integer}),
    "DecisionBoundary": record({"frames": mapping(tensor, int)}),
    "MusicSamples": record({"validations": count, "last_step": integer}),
}
STREAM = record(
    {"window": count, "rest": listing(count), "documents": record({"pass": count, "documents": optional(SETTINGS)})}
)
STREAMS = {"streams": listing(STREAM), "taken": count, "seq_len": count, "shuffle_buffer": count}
DATA = {
    "seed": count,
    "epoch": count,
    "rows": count,
    "trained": tensor,
    "indexed": record({"frames": tensor, "lengths": listing(count)}),
    **STREAMS,
}
CONFIG = record(
    {},
    {
        "experiment": optional(text),
        "seed_everything": optional(either(boolean, count)),
        "decoding": optional(SETTINGS),
        "best_checkpoint": SETTINGS,
        "last_checkpoint": SETTINGS,
        "trainer": record(
            {},
            {
                "callbacks": optional(either(listing(CONFIGURED), CONFIGURED)),
                "logger": optional(either(boolean, listing(CONFIGURED), CONFIGURED)),
            },
        ),
    },
)
CHECKPOINT = record(
    {"state_dict": WEIGHTS, "pytorch-lightning_version": version},
    {
        "epoch": count,
        "global_step": count,
        "hyper_parameters": SETTINGS,
        "datamodule_hyper_parameters": SETTINGS,
        "hparams_name": text,
        "datamodule_hparams_name": text,
        "config": CONFIG,
        "loops": mapping(
            record({}, {"state_dict": record({}, {"combined_loader": either(row(), row(mapping(anything)))})})
        ),
        "callbacks": callbacks,
        "optimizer_states": listing(
            record(
                {
                    "state": mapping(mapping(anything), int),
                    "param_groups": listing(record({"params": listing(count)})),
                }
            )
        ),
        "lr_schedulers": listing(SETTINGS),
        "MixedPrecision": record(
            {},
            {
                "scale": number,
                "growth_factor": number,
                "backoff_factor": number,
                "growth_interval": count,
                "_growth_tracker": count,
            },
        ),
        "train_metrics": mapping(mapping(tensor)),
        "gradients": WEIGHTS,
        "accumulated": listing(number),
        "data_files": mapping(text),
        "training_weights": WEIGHTS,
        "averaged_weights": WEIGHTS,
        "tokenizer": record({"kind": text}),
        "tokenizer_fingerprint": text,
        "class_names": listing(text),
    },
)


def check_schema(content: Any) -> None:
    """Refuses what is no checkpoint of this program's kind.

    Raises:
        MisfitError: The message names the entry, what it is and what it should be.
    """
    CHECKPOINT("", content)
    for name, state in content.items():  # Lightning saves the data's state under the name of its class
        if isinstance(name, str) and name.endswith("DataModule"):
            data_state(name, state)
