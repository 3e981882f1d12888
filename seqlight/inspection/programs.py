"""Programs and accounts beside the packages: the C++ compiler, FluidSynth with its soundfont, W&B."""

import netrc
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from seqlight.core.errors import reason_of
from seqlight.inspection.findings import Finding
from seqlight.music import fluidsynth

# What torch.compile needs of a compiler: Python's headers, the standard library and, on Linux, OpenMP.
SOURCE = """#include <Python.h>
#include <vector>
extern "C" double total(long n) {
  std::vector<double> x(n, 1.0);
  double sum = 0;
#pragma omp parallel for reduction(+ : sum)
  for (long i = 0; i < n; i++) sum += x[i];
  return sum;
}
"""
LONGEST = 60  # seconds that a compiler may take


def compiler() -> Iterator[Finding]:
    """The C++ compiler that torch.compile calls on a CPU, tried on a few lines; and Triton where there is a GPU."""
    if sys.platform == "win32":
        path = shutil.which("cl")
        remedy = "" if path else "install Visual Studio's build tools, and start from their command prompt"
        yield Finding("C++ compiler", "ok" if path else "missing", path or "cl is not on the path", remedy)
        return
    program = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    failure = compilation(program)
    if failure is None:
        yield Finding("C++ compiler", "ok", f"{shutil.which(program)} compiles for torch.compile")
        return
    package = "python3-dev" if "Python.h" in failure else "g++"
    remedy = "xcode-select --install" if sys.platform == "darwin" else f"apt install {package}"
    found = f"{program}: {failure}; the callback Compile goes on uncompiled"
    yield Finding("C++ compiler", "missing", found, f"{remedy}, or name a compiler by the environment variable CXX")


def compilation(program: str) -> str | None:
    """Why a compiler does not make a shared library of :data:`SOURCE`; None if it does."""
    openmp = ["-fopenmp"] if sys.platform == "linux" else ["-undefined", "dynamic_lookup"]
    with tempfile.TemporaryDirectory(prefix="seqlight-compiler-") as folder:
        options = ["-shared", "-fPIC", *openmp, f"-I{sysconfig.get_paths()['include']}"]
        words = [program, "-x", "c++", "-", *options, "-o", str(Path(folder, "total.so"))]
        try:
            done = subprocess.run(words, input=SOURCE, capture_output=True, text=True, timeout=LONGEST)
        except OSError as error:
            return error.strerror or type(error).__name__
        except subprocess.TimeoutExpired:
            return f"took more than {LONGEST} s"
    if not done.returncode:
        return None
    lines = done.stderr.splitlines() or [f"exit code {done.returncode}"]
    return next((line for line in lines if "error:" in line), lines[-1]).strip()[:200]


def sound() -> Iterator[Finding]:
    """What music is rendered with: FluidSynth and a soundfont, or the synthesiser that is built in."""
    program = shutil.which("fluidsynth")
    try:
        font, lacks = fluidsynth.find_soundfont(), "no soundfont"
    except FileNotFoundError as error:
        font, lacks = None, str(error).partition(";")[0]
    if program is not None and font is not None:
        yield Finding("FluidSynth", "ok", f"{program}, {font}")
        return
    lacking = ", ".join(([] if program else ["no program"]) + ([] if font else [lacks]))
    remedy = "apt install fluidsynth timgm6mb-soundfont, or name a .sf2 by the environment variable SOUNDFONT"
    yield Finding("FluidSynth", "missing", f"{lacking}; music is rendered by a simple synthesiser", remedy)


def wandb() -> Iterator[Finding]:
    """Whether a run with the overlay logger/wandb would find an account, or needs none."""
    mode = os.environ.get("WANDB_MODE", "online")
    if mode != "online":
        yield Finding("W&B", "ok", f"{mode}, by WANDB_MODE")
        return
    if os.environ.get("WANDB_API_KEY"):
        yield Finding("W&B", "ok", "logged in, by WANDB_API_KEY")
        return
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    file = Path(os.environ.get("NETRC") or Path.home() / ("_netrc" if sys.platform == "win32" else ".netrc"))
    try:
        is_known = netrc.netrc(file).authenticators(host) is not None
        found = f"logged in to {host}, by {file}" if is_known else f"not logged in to {host}"
    except FileNotFoundError:
        is_known, found = False, f"not logged in to {host}"
    except (OSError, netrc.NetrcParseError) as error:
        is_known, found = False, f"{file} cannot be read: {reason_of(error)}"
    remedy = "" if is_known else "wandb login, or WANDB_MODE=offline, which needs no account"
    yield Finding("W&B", "ok" if is_known else "missing", found, remedy)
