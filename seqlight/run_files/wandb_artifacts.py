"""``--ckpt_path wandb:ENTITY/PROJECT/ARTIFACT:ALIAS``: a checkpoint that a run of Weights & Biases has logged.

It is downloaded into the cache, from which it is read where there is no network. There, a run under the folder of runs
that has logged its own checkpoints will do too.
"""

import os
import re
import sys
from pathlib import Path

from seqlight.core.errors import UserError, reason_of
from seqlight.run_files.wandb_run import run_id

PREFIX = "wandb:"
WORD = r"[A-Za-z0-9_][\w.-]*"
SPEC = re.compile(rf"{PREFIX}({WORD})/({WORD})/({WORD}):({WORD})")
OFFLINE = ("offline", "dryrun", "disabled")
ANSWERING = 10  # seconds that W&B may take to answer
OWN = re.compile(r"model-(.+)")  # the artifacts of seqlight/run_files/wandb_run.py; the group is the run's id
OWN_FILES = {"best": "best.ckpt", "last": "last.ckpt", "latest": "last.ckpt"}


def artifact_file(spec: str, root: str = "runs") -> Path:
    """The checkpoint of an artifact, as a file on this machine.

    Args:
        spec: ``wandb:ENTITY/PROJECT/ARTIFACT:ALIAS``; the alias may be a version, such as v3.
        root: Folder that holds the runs.

    Raises:
        UserError: It is not written so, W&B does not have it, or W&B cannot be asked and it is not here.
    """
    found = SPEC.fullmatch(spec)
    if found is None:
        raise UserError(
            f"--ckpt_path {spec}: must be wandb:ENTITY/PROJECT/ARTIFACT:ALIAS, such as "
            "wandb:anna/seqlight/model-1a2b3c4d:best"
        )
    artifact, alias = found[3], found[4]
    folder = cached_folder(*found.groups())
    if os.environ.get("WANDB_MODE") in OFFLINE:
        reason = "WANDB_MODE says not to ask W&B"
    else:
        try:
            download(spec.removeprefix(PREFIX), folder)
            reason = ""
        except Exception as error:  # no account, no network, no such artifact
            reason = f"W&B: {reason_of(error)}"
    if file := only_checkpoint(folder, spec) or own_checkpoint(artifact, alias, root):
        if reason:
            print(f"--ckpt_path {spec}: {file}, since {reason}", file=sys.stderr)
        return file
    raise UserError(
        f"--ckpt_path {spec}: {reason or 'the artifact holds no checkpoint'}, and it is neither in {folder} nor of a "
        f"run under {root}/; use it once with a network, after `wandb login`"
    )


def cached_folder(entity: str, project: str, artifact: str, alias: str) -> Path:
    """Where the files of an artifact are kept: below seqlight under ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    from datamodules.loading.cache import cache_folder  # here, since it imports lightning

    return cache_folder() / "wandb" / entity / project / f"{artifact}_{alias}"


def download(name: str, folder: Path) -> None:
    """Downloads the files of an artifact; those that are there already, and the same, stay.

    Args:
        name: ``ENTITY/PROJECT/ARTIFACT:ALIAS``.
        folder: Where to.
    """
    import wandb

    if not wandb.login(prompt=False):
        raise UserError("no account is configured here; run `wandb login`")
    wandb.Api(timeout=ANSWERING).artifact(name).download(root=str(folder))


def only_checkpoint(folder: Path, spec: str) -> Path | None:
    """The checkpoint among an artifact's files, or None if they are not here.

    Raises:
        UserError: There are several.
    """
    files = sorted(folder.rglob("*.ckpt"))
    if len(files) > 1:
        names = ", ".join(str(file.relative_to(folder)) for file in files[:6])
        raise UserError(f"--ckpt_path {spec}: the artifact holds several checkpoints, in {folder}: {names}; name one")
    return files[0] if files else None


def own_checkpoint(artifact: str, alias: str, root: str) -> Path | None:
    """The newest checkpoint of that alias that a run here has logged, sent to W&B or not; None if there is none."""
    own = OWN.fullmatch(artifact)
    if own is None or alias not in OWN_FILES:
        return None
    files = [file for file in Path(root).rglob(f"checkpoints/{OWN_FILES[alias]}") if run_id(file.parents[1]) == own[1]]
    return max(files, key=lambda file: file.stat().st_mtime_ns, default=None)
