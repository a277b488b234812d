from __future__ import annotations

import socket

import pytest

from phashopt.cli.address import check_address
from phashopt.errors import UserError


def test_a_free_port_may_be_had_and_a_taken_one_is_told_of() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(UserError, match=f"127.0.0.1:{port} cannot be listened on .*--proxy-port"):
            check_address("127.0.0.1", port, "--proxy-port")
    check_address("127.0.0.1", port)


def test_what_is_no_address_here_is_told_of() -> None:
    with pytest.raises(UserError, match="give another --host"):
        check_address("999.1.1.1", 8080)
