"""Runs the command in a forked child of this process, which has torch imported, and watches what it does."""

import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CPU_SECONDS, WALL_SECONDS, MEGABYTES = 10.0, 120.0, 2_000  # of a child: it has hung, or grown, beyond them
READING = os.O_RDONLY
STARTS = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "socket.connect",
)  # forks are a loader's workers
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.truncate", "os.chmod")
PLACES = ("--trainer.default_root_dir", "--data.cache_dir", "--to")  # options that say where to write
CANARY = "canary_of_the_fuzzer"  # the name of a module that inputs ask for


@dataclass
class Outcome:
    """What a child did.

    Attributes:
        code: Its exit code; negative after a signal.
        said: The end of what it wrote to standard error.
        seconds: CPU time.
        megabytes: Peak of its resident memory.
        deeds: Programs it started, code it loaded and files it changed outside of its folder.
    """

    code: int
    said: str
    seconds: float
    megabytes: int
    deeds: list[str] = field(default_factory=list)

    @property
    def finding(self) -> str | None:
        """What is wrong, in a few words; None if it ended well or said in one line why it did not."""
        if self.deeds:
            return f"did what it must not: {self.deeds[0]}"
        if self.seconds > CPU_SECONDS or self.code in (-signal.SIGKILL, -signal.SIGXCPU):
            return "hangs"
        if self.megabytes > MEGABYTES:
            return f"takes {self.megabytes} MB"
        lines = [line for line in self.said.strip().splitlines() if line.strip()]
        if "Traceback (most recent call last)" in self.said:
            return next((line for line in reversed(lines) if not line.startswith(" ")), "traceback")[:160]
        if self.code in (1, 2) and any("error: " in line for line in lines[-2:]):
            return None
        return None if self.code == 0 else f"exit code {self.code} without a word: {lines[-1:]}"


def run_child(words: list[str], folder: Path, program: Callable[[], None] | None = None) -> Outcome:
    """Runs ``seqlight WORDS``, or a function in its place, in a folder of its own, whose ``home`` is the cache.

    The module named CANARY may be loaded if the words or their config name it, and a folder written to that an option
    names, since a person chooses those.
    """
    watched = folder.with_name(f"{folder.name}.seen")
    watched.mkdir(parents=True)
    started = time.monotonic()
    if not (child := os.fork()):
        _be_child(words, folder, watched, program)
    usage: Any = None
    while usage is None:
        done, status, used = os.wait4(child, os.WNOHANG)
        if done:
            usage = used
        elif time.monotonic() - started > WALL_SECONDS or _resident(child) > 2 * MEGABYTES:
            os.kill(child, signal.SIGKILL)
            _, status, usage = os.wait4(child, 0)
        else:
            time.sleep(0.01)
    said = (watched / "err").read_bytes()[-8_000:].decode("utf-8", "replace")
    deeds = (watched / "deeds").read_text(errors="replace").splitlines() if (watched / "deeds").exists() else []
    shutil.rmtree(watched)
    if (folder / "executed").exists() and not _name_canary(words, folder):
        deeds.append("executed code of the input")
    return Outcome(
        os.waitstatus_to_exitcode(status), said, usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1024, deeds
    )


def _name_canary(words: list[str], folder: Path) -> bool:
    """Whether a person's own settings ask for the canary."""
    configs = (folder / word.removeprefix("--config=") for word in words if word.startswith("--config="))
    texts = [*words, *(path.read_text(errors="replace") for path in configs if path.is_file())]
    return any(CANARY in text for text in texts)


def _resident(process: int) -> int:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * resource.getpagesize() // 2**20


def _be_child(words: list[str], folder: Path, watched: Path, program: Callable[[], None] | None) -> None:
    """The child's life; it does not return."""
    code = 98
    try:
        out, err = (os.open(watched / name, os.O_CREAT | os.O_WRONLY) for name in ("out", "err"))
        deeds = os.open(watched / "deeds", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdout, sys.stderr = (os.fdopen(descriptor, "w") for descriptor in (1, 2))  # not a test's own
        os.chdir(folder)
        homes = dict.fromkeys(("XDG_CACHE_HOME", "HOME", "TORCHINDUCTOR_CACHE_DIR", "TMPDIR"), str(folder / "home"))
        os.environ |= {**homes, "WANDB_MODE": "offline"}
        (folder / "home").mkdir(exist_ok=True)
        tempfile.tempdir = None  # looked for again, below the folder
        resource.setrlimit(resource.RLIMIT_CPU, (int(2 * CPU_SECONDS), int(2 * CPU_SECONDS) + 2))
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**30, 2**30))
        from seqlight.main import main

        sys.argv = ["seqlight", *words]
        sys.path.insert(0, str(folder))
        watches_imports = not _name_canary(words, folder)
        sys.addaudithook(
            _observer(
                (folder, *_places(words, folder)),
                watches_imports,
                lambda deed: os.write(deeds, f"{deed}\n".encode("utf-8", "replace")),
            )
        )
        try:
            (program or main)()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _places(words: list[str], folder: Path) -> list[str]:
    """Where the options say that the command may write."""
    values = (word.partition("=")[2] for word in words if word.partition("=")[0] in PLACES)
    return [os.path.abspath(folder / value) for value in values if value]  # noqa: PTH100  resolve would follow links


def _observer(
    places: Sequence[str | Path], watches_imports: bool, note: Callable[[str], Any]
) -> Callable[[str, tuple[Any, ...]], None]:
    """An audit hook that notes what starts programs, loads the canary, or writes outside of the places."""
    inside = (*map(str, places), "/dev/null", "/dev/shm", "/proc/self")

    def is_inside(path: Any) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return True
        place = os.path.abspath(os.fsdecode(path))  # noqa: PTH100  resolve would follow links
        return place.startswith(inside)

    def observe(event: str, args: tuple[Any, ...]) -> None:
        if event == "socket.connect" and isinstance(args[1], str | bytes) and is_inside(args[1]):
            return  # a loader's workers
        if event in STARTS or (event == "import" and watches_imports and CANARY in str(args[0])):
            note(f"{event} {args}"[:300])
        elif event == "open":
            path, mode, flags = args
            writes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) or bool(set(mode or "") & set("wax+"))
            if writes and not is_inside(path):
                note(f"writes {path}")
        elif event in CHANGES and not is_inside(args[0]):
            note(f"{event} {args}"[:300])

    return observe
