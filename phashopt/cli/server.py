"""`server`: one process before the database, for workers on many hosts: proxy, dashboard and reaper."""

from __future__ import annotations

import ipaddress
import signal
from typing import Annotated

import typer

from phashopt.cli.address import check_address
from phashopt.cli.options import Storage
from phashopt.cli.output import messages, plain_errors

OPEN_TO_ALL = (
    "Whoever reaches these ports reads, changes and deletes every study: neither asks who is there, and nothing is "
    "encrypted. Let a firewall or an SSH tunnel stand before them."
)


def run(
    storage: Storage = None,
    host: Annotated[str, typer.Option(help="There is no authentication: keep it on loopback.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The dashboard's.")] = 8080,
    proxy_port: Annotated[int, typer.Option(min=1, max=65535, help="The workers'.")] = 13000,
) -> None:
    """Serve a study database until Ctrl-C: to workers, to browsers, and to trials whose worker is gone."""
    with plain_errors():
        import optuna_dashboard

        from phashopt.service.server import Server
        from phashopt.service.storage import artifact_root, default_storage
        from phashopt.service.uploads import artifact_store

        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: a container's end is an orderly one
        url = storage or default_storage()
        check_address(host, port)
        check_address(host, proxy_port, "--proxy-port")
        with Server(url, host, proxy_port) as server:
            messages.print(f"workers:   --storage grpc://{host}:{proxy_port}", markup=False, soft_wrap=True)
            messages.print(f"dashboard: http://{host}:{port}/dashboard  (Ctrl-C ends)", markup=False, soft_wrap=True)
            if not _is_loopback(host):
                messages.print(OPEN_TO_ALL, markup=False, soft_wrap=True)
            store = artifact_store(artifact_root(url))
            optuna_dashboard.run_server(server.storage, host=host, port=port, artifact_store=store)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
