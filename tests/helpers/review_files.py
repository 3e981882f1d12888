"""Reviews in the layouts of known collections, as a folder or a zip."""

import zipfile
from pathlib import Path

LONG = {
    f"movies/{label}/cv{number:03d}_{29 * number}.txt": f"{label} review {number} .\nits end\n".encode()
    for label in ("neg", "pos")
    for number in range(0, 1000, 20)
} | {"movies/README": b"read me", "movies/README.txt": b"read me"}
SENTENCES = {
    "sp/README.txt": b"not a review",
    "sp/rt-polarity.neg": b"".join(b"bad %d\x85 .\n" % i for i in range(40)),
    "sp/rt-polarity.pos": b"".join(b"caf\xe9 %d .\n" % i for i in range(40)),
}
IMDB = (
    {
        f"aclImdb/{split}/{label}/{number}_{stars}.txt": f"{split} {label}<br /><br />é {number}".encode()
        for split in ("train", "test")
        for label, stars in (("neg", 2), ("pos", 9))
        for number in range(20)
    }
    | {f"aclImdb/train/unsup/{number}_0.txt": b"unknown" for number in range(5)}
    | {f"aclImdb/{name}": b"x" for name in ("README", "train/urls_pos.txt", "test/urls_neg.txt", "imdb.vocab")}
)


def as_zip(files: dict[str, bytes], path: Path) -> str:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return str(path)


def as_folder(files: dict[str, bytes], path: Path) -> str:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return str(path)
