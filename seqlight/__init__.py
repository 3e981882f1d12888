"""The frame of the application: configs, runs, checkpoints and sweeps.

``seqlight.load("best")`` gives a trained module back in Python, ``seqlight.load_average`` one with the mean weights of
several checkpoints.
"""

from importlib.metadata import version

from seqlight.checkpoints import load
from seqlight.export.averaging import load_average

__version__ = version("seqlight")
__all__ = ["__version__", "load", "load_average"]
