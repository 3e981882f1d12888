"""A job that SLURM starts again goes on from the checkpoint that it left.

The folders of its runs bear its number, by which they are found. Lightning looks for what it saved on the job's signal
(``hpc_ckpt_1.ckpt``) in the new run's own folder, which is empty.
"""

import os

from lightning.fabric.plugins.environments import SLURMEnvironment
from lightning.fabric.utilities.rank_zero import rank_zero_info

from seqlight.checkpoints import CHECKPOINTS, find_checkpoint
from seqlight.command.arguments import setting
from seqlight.core.files.paths import expanded


def job_suffix() -> str:
    """What the name of a run's folder ends in: SLURM's numbers of the job and its step; nothing outside of a job."""
    job, step = SLURMEnvironment.job_id(), os.environ.get("SLURM_STEP_ID")
    if job is None:
        return ""
    return f"_job{job}" if step is None else f"_job{job}.{step}"


def resume_after_requeue(words: list[str]) -> list[str]:
    """The words of a fit, with ``--ckpt_path`` for the newest checkpoint of this job before it was started again.

    Every other command, and a job that has saved nothing yet, keeps its words.
    """
    suffix, again = job_suffix(), int(os.environ.get("SLURM_RESTART_COUNT") or 0)
    if words[0] != "fit" or not suffix or not again:
        return words
    root = expanded(setting(words, "--trainer.default_root_dir") or "runs")
    saved = [
        path
        for folder in root.rglob(f"*{suffix}")
        for path in (folder / CHECKPOINTS / "last.ckpt", *folder.glob("hpc_ckpt_*.ckpt"))
        if path.exists()
    ]
    if not saved:
        return words
    newest = find_checkpoint(str(max(saved, key=lambda path: path.stat().st_mtime_ns)), "fit")
    rank_zero_info(f"the job was started again and goes on from {newest}")
    return [*words, f"--ckpt_path={newest}"]
