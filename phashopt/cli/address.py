"""Whether an address can be listened on, asked before anything says that it is."""

from __future__ import annotations

import socket

from phashopt.errors import UserError


def check_address(host: str, port: int, option: str = "--port") -> None:
    """Raise `UserError` where `host`:`port` is taken or no address of this machine; `option` is what to change."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"{host}:{port} cannot be listened on ({reason}); give another --host or {option}") from error
