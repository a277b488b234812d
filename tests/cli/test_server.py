from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from phashopt.cli.server import _is_loopback

from .conftest import Run


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def ports(run: Run, tmp_path: Path) -> Iterator[tuple[int, int]]:
    """The dashboard's and the proxy's port of a server before the tiny study."""
    run("study", "create", "tiny.toml")
    dashboard, proxy = free_port(), free_port()
    options = ("--port", str(dashboard), "--proxy-port", str(proxy))
    server = subprocess.Popen(
        [sys.executable, "-m", "phashopt", "server", *options], cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    yield dashboard, proxy
    server.terminate()
    assert server.wait() == 0


def read(url: str) -> str:
    """What is served there, as soon as anything is."""
    deadline = time.monotonic() + 120
    while True:
        try:
            with urlopen(url) as answer:
                return str(answer.read().decode())
        except URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def test_one_command_serves_workers_and_browsers(run: Run, ports: tuple[int, int]) -> None:
    dashboard, proxy = ports
    assert "tiny" in read(f"http://127.0.0.1:{dashboard}/api/studies")
    assert "tiny  1 trial" in run("study", "list", "--storage", f"grpc://127.0.0.1:{proxy}").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--storage", "journal:///studies.log"], "cannot be served"),
        ([], "there is no study database phashopt.db"),
    ],
)
def test_what_cannot_be_served_is_one_line(run: Run, words: list[str], message: str) -> None:
    result = run("server", *words)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert message in result.stderr


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("node7", False), ("::", False)],
)
def test_only_loopback_needs_no_warning(host: str, expected: bool) -> None:
    assert _is_loopback(host) is expected
