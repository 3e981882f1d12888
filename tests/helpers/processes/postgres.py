"""A PostgreSQL server of a test's own: made by initdb, started on a free port, stopped and removed afterwards."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PASSWORD = "corre:ct/h@rse"  # to be masked, and to be escaped in a URL


def binaries() -> Path | None:
    """The folder of initdb and pg_ctl, which Debian keeps off the path; None if there is no server."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return folders[-1] if folders and (folders[-1] / "initdb").is_file() else None


def unprivileged() -> dict[str, Any]:
    """Whom the server runs as: PostgreSQL refuses root."""
    if os.geteuid():
        return {}
    names = {user.pw_name for user in pwd.getpwall()}
    return {"user": "postgres" if "postgres" in names else "nobody", "extra_groups": []}


@contextmanager
def server() -> Iterator[str]:
    """Gives the address ``HOST:PORT`` of a server on which ``postgres`` has the password above."""
    bin_folder, user = binaries(), unprivileged()
    assert bin_folder is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as name:  # pytest's is root's alone
        folder = Path(name)
        (folder / "password").write_text(PASSWORD)
        if user:
            for path in (folder, folder / "password"):
                shutil.chown(path, user["user"])

        def call(program: str, *words: str) -> None:
            done = subprocess.run(
                [bin_folder / program, *words],
                cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=60, **user,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr + "".join(p.read_text() for p in folder.glob("server.log"))

        data = str(folder / "data")
        call(
            "initdb", "--pgdata", data, "--username=postgres", "--pwfile=password", "--auth=scram-sha-256",
            "--encoding=UTF8", "--locale=C", "--no-sync",
        )  # fmt: skip
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        control = ("--pgdata", data, "--log", "server.log", "--wait")
        call("pg_ctl", "start", *control, "--options", options)
        try:
            yield f"127.0.0.1:{port}"
        finally:
            call("pg_ctl", "stop", *control, "--mode", "immediate")
