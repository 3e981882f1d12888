"""Loggers that cannot end a run: whatever one lacks or raises costs one line, and metrics.csv has all the same."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.logger import DummyLogger, Logger
from lightning.pytorch.utilities import rank_zero_warn

from seqlight.core.errors import reason_of

METHODS = ("log_metrics", "log_hyperparams", "log_graph", "save", "finalize", "after_save_checkpoint")
MEDIA = ("log_image", "log_audio", "log_text", "log_table")  # of W&B


class Patient:
    """What :func:`patient` puts in front of a logger's class.

    Attributes:
        called: The name of that class.
    """

    called: str

    def forgiving(self, doing: str) -> contextlib.AbstractContextManager[None]:
        """Tells of an error, the first time that it comes in this method, and goes on."""
        return _forgiving(self, doing)

    @property
    def experiment(self) -> Any:
        """The logger's own object, whose methods are forgiven too, or one without effect if it cannot be made."""
        if not hasattr(self, "_forgiven"):
            self._forgiven = _Forgiven(None, self)
            with self.forgiving("experiment"):
                self._forgiven = _Forgiven(super().experiment, self)  # type: ignore[misc]
        return self._forgiven


class _Forgiven:
    """An object whose methods do nothing where they would raise an error.

    Args:
        target: The object; None stands for one that could not be made.
        logger: Whose it is.
    """

    def __init__(self, target: Any, logger: Patient) -> None:
        self._target, self._logger = target, logger

    def __call__(self, *args: Any, **kwargs: Any) -> "_Forgiven":
        """What an object that could not be made gives."""
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self._target is None:
            return self
        found = getattr(self._target, name)
        return _forgiven(found, self._logger, name) if callable(found) else found


def patient(cls: type[Logger], *args: Any, **kwargs: Any) -> Logger:
    """Makes a logger of a class, of a subclass of it that forgives errors.

    Args:
        cls: The class.
        args, kwargs: Arguments of its constructor.

    Returns:
        The logger, or one that does nothing where a package is missing.
    """
    if issubclass(cls, CSVLogger):  # a run whose metrics cannot be written has no use
        return cls(*args, **kwargs)
    members: dict[str, Any] = {name: _method(name) for name in (*METHODS, *MEDIA) if hasattr(cls, name)}
    members |= {"called": cls.__name__, "__module__": __name__}
    try:
        return type(f"Patient{cls.__name__}", (Patient, cls), members)(*args, **kwargs)
    except ImportError as error:
        rank_zero_warn(f"{cls.__name__}: {reason_of(error)}; it is left out, and metrics.csv has everything")
        return DummyLogger()


def _method(name: str) -> Callable[..., Any]:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self.forgiving(name):
            return getattr(super(type(self), self), name)(*args, **kwargs)

    return call


def _forgiven(method: Callable[..., Any], logger: Patient, name: str) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        with logger.forgiving(name):
            return method(*args, **kwargs)

    return call


@contextlib.contextmanager
def _forgiving(logger: Any, doing: str) -> Iterator[None]:
    told = logger.__dict__.setdefault("_told", set())
    try:
        yield
    except Exception as error:
        if doing not in told:
            told.add(doing)
            rank_zero_warn(
                f"{logger.called}: {doing} has failed ({reason_of(error)}); the run goes on, and metrics.csv has "
                "everything"
            )
