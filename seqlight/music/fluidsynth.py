"""Sound by FluidSynth, a synthesiser that plays recorded instruments. It needs the program and a soundfont.

    apt install fluidsynth timgm6mb-soundfont

Neither is part of this project. The program is run as a separate process. Each soundfont has a licence of its own.
"""

import os
import shutil
import subprocess
from pathlib import Path

from seqlight.core.files.paths import expanded

FOLDERS = ("/usr/share/sounds/sf2", "/usr/share/sounds/sf3", "/usr/share/soundfonts", "/usr/local/share/soundfonts")
ENDINGS = (".sf2", ".sf3")
GAIN = 1  # FluidSynth's default, 0.2, is too quiet
TIMEOUT = 300  # seconds


def find_soundfont() -> Path | None:
    """The soundfont to use, or None.

    The environment variable SOUNDFONT comes first, then a file in :data:`FOLDERS` whose name begins with "default",
    then any other soundfont there.

    Raises:
        FileNotFoundError: SOUNDFONT is not the path of a file.
    """
    if named := os.environ.get("SOUNDFONT"):
        path = expanded(named)
        if not path.is_file():
            raise FileNotFoundError(f"SOUNDFONT {named!r} is not a file; give a .sf2 or .sf3, or unset it")
        return path
    found = [path for folder in FOLDERS for path in sorted(Path(folder).glob("*")) if path.suffix.lower() in ENDINGS]
    return min(found, key=lambda path: not path.name.startswith("default"), default=None)


def available() -> bool:
    """Whether both the program and a soundfont are installed."""
    return shutil.which("fluidsynth") is not None and find_soundfont() is not None


def render(midi: Path, sound: Path, rate: int = 44_100) -> None:
    """Renders a MIDI file as a WAV file.

    Args:
        midi: The MIDI file.
        sound: The WAV file to write.
        rate: Sample rate in Hz.

    Raises:
        OSError: The program or the soundfont is missing, or the program fails or takes more than five minutes.
    """
    program, font = shutil.which("fluidsynth"), find_soundfont()
    if program is None or font is None:
        raise FileNotFoundError("fluidsynth or a soundfont is missing: apt install fluidsynth timgm6mb-soundfont")
    # Absolute paths begin with a slash, so no file name can be taken for an option.
    files = [str(font.resolve()), str(midi.resolve())]
    command = [program, "-ni", "-g", str(GAIN), "-r", str(rate), "-F", str(sound.resolve()), *files]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, errors="replace")
    except subprocess.TimeoutExpired:
        raise OSError(f"fluidsynth took more than {TIMEOUT} s on {midi}") from None
    if done.returncode or not sound.is_file():
        output = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise OSError(f"fluidsynth failed on {midi}: {output[-1][:200]}")
