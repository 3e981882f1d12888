"""``seqlight sweep FILE``: many trainings of one study, which can be stopped, resumed and shared by machines.

A sweep file says what to vary. Optuna keeps which trials wait, run and are done; each process that runs the same
command takes the next waiting one, on any machine that reaches the study's storage.
"""

from seqlight.sweep.runner import command
from seqlight.sweep.sweep_file import Sweep, read_sweep
from seqlight.sweep.training import train

__all__ = ["Sweep", "command", "read_sweep", "train"]
