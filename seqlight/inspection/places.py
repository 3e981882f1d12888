"""Where recipes, runs and caches lie, and whether they can be written."""

import getpass
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from seqlight.command.compile_cache import STAND_IN, VARIABLE
from seqlight.inspection.findings import Finding
from seqlight.recipes import CONFIGS, DEFAULTS, OVERLAYS

GB = 10**9
FULL = 0.1 * GB  # less free space than this is none


def recipes() -> Iterator[Finding]:
    """The folder of the recipes."""
    found = [path for path in CONFIGS.rglob("*.yaml") if path.relative_to(CONFIGS).parts[0] not in OVERLAYS]
    if not DEFAULTS.is_file() or not found:
        yield Finding("recipes", "broken", f"{CONFIGS} does not hold them", "install seqlight anew")
        return
    yield Finding("recipes", "ok", f"{len(found)} in {CONFIGS}")


def runs() -> Iterator[Finding]:
    """The folder of the runs, in the working directory."""
    yield place("runs", Path.cwd() / "runs", "go to a folder of your own, or give --trainer.default_root_dir")


def caches() -> Iterator[Finding]:
    """The folder of encoded texts and learned tokenizers."""
    from datamodules.loading.cache import cache_folder  # here, since it imports lightning

    yield place("cache", cache_folder(), "name another by --data.cache_dir or the environment variable XDG_CACHE_HOME")


def compiled_code() -> Iterator[Finding]:
    """The folder of torch.compile's code."""
    named = os.environ.get(VARIABLE)
    if named and Path(named).name.startswith(STAND_IN):
        found = f"what {VARIABLE} names cannot be written; {named} is used and deleted at the end"
        yield Finding("compiled code", "missing", found, f"name another folder by {VARIABLE}")
        return
    user = re.sub(r'[\\/:*?"<>|]', "_", getpass.getuser())  # as torch does
    folder = Path(named) if named else Path(tempfile.gettempdir()) / f"torchinductor_{user}"
    yield place("compiled code", folder, f"name another folder by {VARIABLE}")


def place(name: str, folder: Path, remedy: str) -> Finding:
    """A folder: whether files can be written there, or in the folder in which it would be made."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        if not existing.is_dir():
            raise NotADirectoryError(20, f"{existing} is a file")
        tempfile.TemporaryFile(dir=existing).close()  # tried, since root may write where permissions forbid it
        free = shutil.disk_usage(existing).free
    except OSError as error:
        return Finding(name, "broken", f"{folder}: cannot be written ({error.strerror})", remedy)
    found = f"{folder}, {free / GB:.1f} GB free" + ("" if existing == folder else ", not made yet")
    return Finding(name, "ok", found) if free > FULL else Finding(name, "broken", found, f"make space, or {remedy}")
