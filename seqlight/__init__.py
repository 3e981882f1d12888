"""The frame of the application: configs, runs, checkpoints and sweeps.

``seqlight.load("best")`` gives a trained module back in Python.
"""

from importlib.metadata import version

from seqlight.checkpoints import load

__version__ = version("seqlight")
__all__ = ["__version__", "load"]
