"""Sound by FluidSynth, where the program and a soundfont are on the machine: real instruments' samples.

    apt install fluidsynth timgm6mb-soundfont

Neither is part of this project, and the program is run as it is; a soundfont's licence is its own (docs/notes).
"""

import os
import shutil
import subprocess
from pathlib import Path

FOLDERS = ("/usr/share/sounds/sf2", "/usr/share/sounds/sf3", "/usr/share/soundfonts", "/usr/local/share/soundfonts")
ENDINGS = (".sf2", ".sf3")
GAIN = 1  # the program's own 0.2 is too quiet to be heard
TIMEOUT = 300  # seconds


def find_soundfont() -> Path | None:
    """The soundfont to use: the environment's SOUNDFONT; else the system's default; else any that lies where they do.

    Raises:
        FileNotFoundError: SOUNDFONT names no file.
    """
    if named := os.environ.get("SOUNDFONT"):
        path = Path(named).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"SOUNDFONT {named!r} is not a file; give a .sf2 or .sf3, or unset it")
        return path
    found = [path for folder in FOLDERS for path in sorted(Path(folder).glob("*")) if path.suffix.lower() in ENDINGS]
    return min(found, key=lambda path: not path.name.startswith("default"), default=None)


def available() -> bool:
    """Whether both the program and a soundfont are there."""
    return shutil.which("fluidsynth") is not None and find_soundfont() is not None


def render(midi: Path, sound: Path, rate: int = 44_100) -> None:
    """Writes a MIDI file's sound as WAV.

    Args:
        midi: The MIDI file.
        sound: The WAV file to write.
        rate: Samples a second.

    Raises:
        OSError: The program or the soundfont is missing, fails, or takes more than five minutes.
    """
    program, font = shutil.which("fluidsynth"), find_soundfont()
    if program is None or font is None:
        raise FileNotFoundError("fluidsynth or a soundfont is missing: apt install fluidsynth timgm6mb-soundfont")
    # Absolute paths, so that no name can be read as an option.
    files = [str(font.resolve()), str(midi.resolve())]
    command = [program, "-ni", "-g", str(GAIN), "-r", str(rate), "-F", str(sound.resolve()), *files]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, errors="replace")
    except subprocess.TimeoutExpired:
        raise OSError(f"fluidsynth took more than {TIMEOUT} s on {midi}") from None
    if done.returncode or not sound.is_file():
        said = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise OSError(f"fluidsynth failed on {midi}: {said[-1][:200]}")
