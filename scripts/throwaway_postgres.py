"""A PostgreSQL server of one's own from Debian's package, on a free loopback port and in a folder that goes with it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from uuid import uuid4

USER = "phashopt"
PROGRAMS = "/usr/lib/postgresql"


class Postgres:
    """Made and started by `with`; may be stopped and started again in between, as a server in trouble is.

    `durable` writes through to the disk, as a server that is meant to last does.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self._fsync = "on" if durable else "off"
        self._programs = sorted(Path(PROGRAMS).glob("*/bin"))[-1]
        self._folder = Path(tempfile.mkdtemp(prefix="phashopt-postgres-"))
        self._port = _free_port()

    def __enter__(self) -> Postgres:
        if os.geteuid() == 0:
            shutil.chown(self._folder, "postgres")
        options = ("--username", USER, "--auth", "trust", "--encoding", "UTF8", "--no-locale", "--no-sync")
        self._run("initdb", "--pgdata", str(self._data), *options)
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def start(self) -> None:
        """Returns once connections are taken; what was committed before a stop is there again."""
        settings = f"-p {self._port} -h 127.0.0.1 -k {self._folder} -c fsync={self._fsync} -c max_connections=300"
        log = str(self._folder / "log")
        self._run("pg_ctl", "start", "--wait", "--pgdata", str(self._data), "--log", log, "--options", settings)

    def stop(self) -> None:
        """Breaks all connections off, without waiting for anybody."""
        self._run("pg_ctl", "stop", "--wait", "--mode", "fast", "--pgdata", str(self._data))

    def stop_for(self, seconds: float) -> None:
        """Away, then back."""
        self.stop()
        time.sleep(seconds)
        self.start()

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"studies_{uuid4().hex[:12]}"
        where = ("--host", "127.0.0.1", "--port", str(self._port), "--username", USER)
        self._run("createdb", *where, name)
        return f"postgresql://{USER}@127.0.0.1:{self._port}/{name}"

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _run(self, program: str, *arguments: str) -> None:
        """As the user `postgres` where we are root: the server refuses to be root's."""
        switch = ("runuser", "-u", "postgres", "--") if os.geteuid() == 0 else ()
        command = [*switch, str(self._programs / program), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self._folder)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
