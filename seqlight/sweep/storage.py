"""Where a study is kept: a journal in the sweep's folder, or a PostgreSQL database.

While a trial runs, a thread of Optuna's writes a heartbeat into the storage. A process that is about to take a trial
fails those whose heartbeat is too old, because their process was killed. Both storages also have a lock, which
processes hold while they make the study or fill its queue.
"""

import contextlib
import os
import socket
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock
from optuna.exceptions import ExperimentalWarning, StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages._heartbeat import BaseHeartbeat
from optuna.trial import FrozenTrial, TrialState

from seqlight.core.errors import UserError, WritingError, reason_of
from seqlight.core.files.replacing import is_alive
from seqlight.sweep.journal_file import JournalFile

if TYPE_CHECKING:
    from sqlalchemy import URL

GRACE_PERIOD = 300  # seconds without a heartbeat after which a trial's process is taken for dead
LOCK = 79_337  # number of the advisory lock; any that nothing else in the database uses
EXAMPLE = "postgresql://USER@HOST:PORT/DATABASE"


def open_storage(url: str | None, folder: Path, grace_period: int) -> BaseStorage:
    """The journal in the folder, or the database.

    Args:
        url: Of the database; None for the journal.
        folder: The sweep's folder.
        grace_period: Seconds without a heartbeat after which a trial's process is taken for dead.

    Raises:
        UserError: The URL is none, the driver is missing, or another version of Optuna made the database's tables.
    """
    if url is None:
        return Journal(folder / "study.log", grace_period)
    import sqlalchemy

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # of the heartbeat
        try:
            return Database(
                database_url(url).render_as_string(hide_password=False),
                engine_kwargs={"poolclass": sqlalchemy.NullPool},  # no connection has to last as long as a trial
                heartbeat_interval=heartbeat_interval(grace_period),
                grace_period=grace_period,
            )
        except RuntimeError as error:
            raise UserError(f"storage {shown(url)}: {error}") from error


def heartbeat_interval(grace_period: int) -> int:
    """Seconds between heartbeats: several may be lost before a trial is given up."""
    return max(1, grace_period // 5)


@contextlib.contextmanager
def locked(url: str | None, folder: Path) -> Iterator[None]:
    """Keeps the other processes of the sweep out, on this machine or on all that share the storage."""
    if url is None:
        with filelock.FileLock(f"{folder}.lock"):
            yield
        return
    import sqlalchemy

    engine = sqlalchemy.create_engine(database_url(url), poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:  # PostgreSQL releases the lock at the end, also when the process is killed
        # One lock for all sweeps of the database: the first of them makes the tables.
        connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(LOCK)))
        yield


class Database(RDBStorage):
    """Optuna's storage in a database, with a heartbeat that outlives a break of the connection."""

    def record_heartbeat(self, trial_id: int) -> None:
        """Writes a sign of life; one that fails is left out, and the next is tried."""
        with contextlib.suppress(StorageInternalError):
            super().record_heartbeat(trial_id)


class Journal(JournalStorage, BaseHeartbeat):
    """Optuna's storage in a file, with the heartbeat that Optuna has for databases alone.

    A file with a lock: two processes never take the same trial, which SQLite does not rule out. A process of this
    machine is looked for by its number; one of another machine is taken for dead when its last heartbeat is older than
    ``grace_period`` seconds, for which the machines' clocks should agree.

    Args:
        path: The file.
        grace_period: Seconds.

    Raises:
        UserError: The file holds something else.
        WritingError: It cannot be written.
    """

    def __init__(self, path: Path, grace_period: int) -> None:
        self.grace_period = grace_period
        try:
            super().__init__(JournalFile(path))
        except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
            raise UserError(
                f"{path}: is damaged, or no study of a sweep ({reason_of(error)}); put an earlier copy in its place, "
                "or move it away, and the sweep begins anew"
            ) from error

    def record_heartbeat(self, trial_id: int) -> None:
        """Writes the process and the time into the trial; what cannot be written is left out."""
        # Another process may have failed the trial while this one slept, or taken the folder away (OSError).
        with contextlib.suppress(UpdateFinishedTrialError, WritingError, OSError):
            self.set_trial_user_attr(trial_id, "heartbeat", [socket.gethostname(), os.getpid(), time.time()])

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        running = self.get_all_trials(study_id, deepcopy=False, states=(TrialState.RUNNING,))
        return [trial._trial_id for trial in running if self._is_stale(trial)]

    def _is_stale(self, trial: FrozenTrial) -> bool:
        started = trial.datetime_start  # a process may be killed before its first heartbeat
        first = ["", 0, started.timestamp() if started else 0.0]
        host, process, at = trial.user_attrs.get("heartbeat", first)
        return not is_alive(process) if host == socket.gethostname() else time.time() - at > self.grace_period

    def get_heartbeat_interval(self) -> int:
        """Seconds between heartbeats."""
        return heartbeat_interval(self.grace_period)

    def get_heartbeat_stale_trial_callback(self) -> None:
        """Nothing is called for a trial whose process died."""


def database_url(url: str) -> "URL":
    """The URL with its driver and a limit of ten seconds for connecting.

    Raises:
        UserError: It is no URL of a PostgreSQL database, or the driver is not installed.
    """
    import sqlalchemy

    # No message repeats the text, which may hold a password.
    try:
        parsed = sqlalchemy.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise UserError(f"storage: the text given is no URL; it must be {EXAMPLE}") from None
    if parsed.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise UserError(f"storage: must be a PostgreSQL database, {EXAMPLE}, and not {parsed.drivername}://...")
    if "@" in f"{parsed.host}{parsed.database}":
        raise UserError("storage: an @ in the URL's user or password must be written %40, a : or / as %3A and %2F")
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise UserError("storage: PostgreSQL needs the driver psycopg; pip install 'seqlight[postgres]'") from error
    return parsed.set(drivername="postgresql+psycopg", query={"connect_timeout": "10", **parsed.query})


def shown(url: str) -> str:
    """The URL without its password, for messages."""
    parsed = database_url(url)
    return parsed.set(drivername="postgresql", query={}).render_as_string(hide_password=True)


@contextlib.contextmanager
def database_errors(url: str | None) -> Iterator[None]:
    """Gives what a database refuses as one line, without the password.

    Raises:
        UserError: The server cannot be reached, refuses the user, or fails.
    """
    if url is None:
        yield
        return
    import sqlalchemy

    try:
        yield
    except (sqlalchemy.exc.SQLAlchemyError, StorageInternalError) as error:
        cause: Any = error.__cause__ if isinstance(error, StorageInternalError) else error
        said, password = str(getattr(cause, "orig", None) or cause), database_url(url).password
        said = said.replace(str(password), "***") if password else said
        raise UserError(
            f"storage {shown(url)}: {said.strip()}; check host, port, user and database, "
            "and give the password in ~/.pgpass or PGPASSWORD"
        ) from error
