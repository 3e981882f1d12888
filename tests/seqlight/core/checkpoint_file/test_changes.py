"""What a training goes on with is compared with what it began with: arguments, and the contents of files."""

from seqlight.core.checkpoint_file.changes import NOT_VALIDATED, changed_arguments, changed_files, changes


def test_arguments() -> None:
    before = {"path": "a", "split": {"val_fraction": 0.1}, "windows": {"crops": "tiled"}, "batch_size": 4, "gone": 1}
    now = {**before, "batch_size": 8, "windows": {"crops": "random"}, "new": 2, "num_workers": 3, "_class_path": "x"}
    assert changed_arguments(before, now) == [("windows.crops", "tiled", "random"), ("batch_size", 4, 8)]
    assert changed_arguments(before, now, NOT_VALIDATED) == []
    split = {**before, "split": {"val_fraction": 0.2}}
    assert changed_arguments(before, split, NOT_VALIDATED) == [("split.val_fraction", 0.1, 0.2)]
    assert changed_arguments(None, before) == changed_arguments(before, None) == []


def test_files() -> None:
    arguments = {"path": "a.txt", "split": {"val_path": "b.txt"}, "seed": 1}
    before = {"datamodule_hyper_parameters": arguments, "data_files": {"path": "11", "split.val_path": "22"}}
    assert changes(before, arguments, {"path": "11", "split.val_path": "22"}) == []
    assert changes(before, arguments, {"path": "33", "split.val_path": "22"}) == [
        "data.path a.txt has other contents than it had"
    ]
    moved = {**arguments, "path": "elsewhere/a.txt"}
    assert changes(before, moved, {"path": "11", "split.val_path": "22"}) == []
    assert changes(before, moved, {"path": "33", "split.val_path": "22"}) == [
        "data.path was a.txt and is now elsewhere/a.txt"
    ]
    assert changed_files(None, {"path": "11"}) == []  # of a version that did not say
