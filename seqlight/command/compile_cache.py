"""The folder of compiled code, in place of one that cannot be written."""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
STAND_IN = "seqlight-compiled-"  # begins the name of the temporary folder


def replace_unwritable_cache() -> None:
    """Has compiled code kept in a temporary folder if the environment names one that cannot be made or written.

    To be called before Lightning is imported: it imports torch's compiler, which makes the folder at once and ends
    every command if it cannot. One line says so.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        return
    try:
        Path(named).mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=named).close()  # tried, since root may write where permissions forbid it
    except OSError as error:
        folder = tempfile.mkdtemp(prefix=STAND_IN)
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ[VARIABLE] = folder  # other processes of a DDP run take it too
        sys.stderr.write(f"{VARIABLE} {named}: {error.strerror}; compiled code of this run is kept in {folder}\n")
