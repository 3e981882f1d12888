"""Measures of the code's structure: how much a reader must read, and how wide and deep things are.

    python benchmarks/code/code_measures.py                 # of this tree
    python benchmarks/code/code_measures.py --tree /tmp/x   # of another checkout

*From the command to the loss*: the files, with all of their lines, that have a function running in the first training
step of a recipe: those on the call stack from the command to ``training_step``, those that run inside it, those that
make its batch from the data set, and those that build the system in its ``__init__``. Callbacks, import-time code and
the preparation of files are left out. Beside it stands the number of all files of ours with a function that runs
before the loss. The recipe really runs, traced, in a process of its own.
"""

import argparse
import ast
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("seqlight", "seq_modules", "datamodules")
RECIPES = {
    "text/gpt_char": ["--data.batch_size=4", "--data.cache_dir=cache"],
    "parity/lstm_last": [],
}
TRACER = """
import json, sys
tree, *words = sys.argv[1:]
sys.path.insert(0, tree)
try:
    from seqlight.main import main
except ImportError:
    from cli import main
every, path, done = set(), set(), []

def ours(frame):
    file = frame.f_code.co_filename
    return file if file.startswith(tree + "/") and "/.venv" not in file and frame.f_code.co_flags & 1 else None

def inside(frame):
    while frame:
        name, file = frame.f_code.co_name, frame.f_code.co_filename
        bases = [cls.__name__ for cls in type(frame.f_locals.get("self")).__mro__]
        if name == "__init__" and "LightningModule" in bases:
            return True
        if name in ("training_step", "__getitems__") or (name == "fetch" and "torch/utils/data" in file):
            return True
        frame = frame.f_back
    return False

def trace(frame, event, arg):
    if done or not (file := ours(frame)):
        return
    if event == "call":
        every.add(file)
        if inside(frame):
            path.add(file)
        if frame.f_code.co_name == "training_step":
            while frame:
                if file := ours(frame):
                    path.add(file)
                frame = frame.f_back
    elif event == "return" and frame.f_code.co_name == "training_step":
        done.append(True)

sys.argv = ["seqlight", *words]
sys.setprofile(trace)
try:
    main()
except SystemExit:
    pass
sys.setprofile(None)
assert done, "no training step was made"
print("TRACED" + json.dumps({"path": sorted(path), "every": sorted(every)}))
"""


def lines(files: list[str]) -> int:
    """Lines of files together."""
    return sum(len(Path(file).read_text(encoding="utf-8").splitlines()) for file in files)


def traced(tree: Path, recipe: str, flags: list[str]) -> dict[str, list[str]]:
    """Our files on the path to the loss, and all that ran before it."""
    words = ["fit", "--config", recipe, *flags, "--trainer.max_steps=1", "--trainer.accelerator=cpu"]
    words += ["--trainer.num_sanity_val_steps=0", "--trainer.limit_val_batches=0", "--trainer.callbacks=[]"]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", TRACER, str(tree), *words], cwd=folder, capture_output=True, text=True, check=True
        )
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("TRACED"))
    return json.loads(line.removeprefix("TRACED"))


def python_files(tree: Path) -> list[Path]:
    """The packages' files."""
    return [path for package in PACKAGES for path in sorted((tree / package).rglob("*.py"))]


def constructors(tree: Path) -> list[tuple[int, str]]:
    """Number of arguments of every constructor, and of fields of every dataclass, the largest first."""
    found = []
    for path in python_files(tree):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ClassDef):
                continue
            if any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
                count = sum(isinstance(item, ast.AnnAssign) for item in node.body)
                found.append((count, f"{node.name} (fields) in {path.relative_to(tree)}"))
            for item in node.body:
                if isinstance(item, ast.FunctionDef) and item.name == "__init__":
                    count = len(item.args.posonlyargs + item.args.args + item.args.kwonlyargs) - 1
                    found.append((count, f"{node.name} in {path.relative_to(tree)}"))
    return sorted(found, reverse=True)


def depth(tree: Path) -> list[tuple[int, str]]:
    """Own classes above each exported system, the deepest first."""
    code = (
        f"import sys, json; sys.path.insert(0, {str(tree)!r}); import seq_modules as s\n"
        "own = lambda c: [b.__name__ for b in c.__mro__[1:] if b.__module__.partition('.')[0] in "
        f"{PACKAGES!r}]\n"
        "print(json.dumps({n: own(getattr(s, n)) for n in s.__all__ if isinstance(getattr(s, n), type)}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    above: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return sorted(((len(bases), f"{name}: {', '.join(bases) or '-'}") for name, bases in above.items()), reverse=True)


def private_names(tree: Path) -> list[str]:
    """Private attributes of Lightning's and torch's objects that our code reads or writes: ``file: name``."""
    own, found = set(), []
    for path in python_files(tree):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                own.add(node.name)
            elif (
                isinstance(node, ast.Attribute)
                and isinstance(node.ctx, ast.Store)
                and ast.unparse(node.value) == "self"
            ):
                own.add(node.attr)
    public = {"_replace", "_fields", "_asdict"}  # of named tuples
    for path in python_files(tree):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Attribute)
                and node.attr[0] == "_" != node.attr[1]
                and node.attr not in own | public
            ):
                found.append(f"{ast.unparse(node)} in {path.relative_to(tree)}")
            elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(("torch", "lightning")):
                names = [*node.module.split("."), *(alias.name for alias in node.names)]
                found += [f"{name} in {path.relative_to(tree)}" for name in names if name.startswith("_")]
    return sorted(set(found))


def folders(tree: Path) -> list[tuple[int, str]]:
    """Entries of every folder of the packages and the tests, the fullest first."""
    found: list[tuple[int, str]] = []
    for top in (*PACKAGES, "tests", "configs", "benchmarks", "docs"):
        for folder in [tree / top, *(path for path in (tree / top).rglob("*") if path.is_dir())]:
            if "__pycache__" not in folder.parts and not folder.name.endswith(".egg-info"):
                entries = [p for p in folder.iterdir() if p.name not in ("__pycache__", "__init__.py")]
                found.append((len(entries), str(folder.relative_to(tree))))
    return sorted(found, reverse=True)


def main() -> None:
    """Prints the measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tree", type=Path, default=ROOT)
    parser.add_argument("--files", action="store_true", help="name the files on the path, with their lines")
    given = parser.parse_args()
    tree: Path = given.tree.resolve()
    rows: list[tuple[str, Any]] = []
    for recipe, flags in RECIPES.items():
        found = traced(tree, recipe, flags)
        path, every = found["path"], found["every"]
        rows.append((f"command to loss, {recipe}", f"{lines(path)} lines in {len(path)} files"))
        rows.append((f"all that runs before the loss, {recipe}", f"{lines(every)} lines in {len(every)} files"))
        if given.files:
            rows += [("", f"{lines([file]):>5}  {Path(file).relative_to(tree)}") for file in path]
    base = tree / "seq_modules" / "base.py"
    private = private_names(tree)
    rows += [
        ("widest constructors", "; ".join(f"{count} {name}" for count, name in constructors(tree)[:3])),
        ("own classes above a system", "; ".join(f"{count} {name}" for count, name in depth(tree)[:2])),
        ("lines of base.py", lines([str(base)])),
        ("fullest folders", "; ".join(f"{count} {name}" for count, name in folders(tree)[:4])),
        ("private names of Lightning and torch", len(private)),
        *(("", name) for name in private),
        ("lines of the packages", lines([str(path) for path in python_files(tree)])),
        ("lines of the longest file", max((lines([str(path)]), path.name) for path in python_files(tree))),
    ]
    for name, value in rows:
        print(f"{name:<46} {value}")


if __name__ == "__main__":
    main()
