"""`dashboard`: optuna-dashboard on the study database, with the artifacts the workers leave."""

from __future__ import annotations

from typing import Annotated

import typer

from phashopt.cli.address import check_address
from phashopt.cli.options import Storage
from phashopt.cli.output import messages, plain_errors


def run(
    name: Annotated[str | None, typer.Argument(help="Open on this study.", show_default=False)] = None,
    storage: Storage = None,
    host: Annotated[str, typer.Option(help="There is no authentication: keep it on loopback.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8080,
) -> None:
    """Serve optuna-dashboard until Ctrl-C."""
    with plain_errors():
        import optuna_dashboard

        from phashopt.service.publish import leave_note
        from phashopt.service.storage import artifact_root, default_storage, open_storage
        from phashopt.service.study import open_plain, read_artifact_root
        from phashopt.service.uploads import artifact_store

        check_address(host, port)
        url = storage or default_storage()
        database = open_storage(url)
        root, path = artifact_root(url), "dashboard"
        if name is not None:
            study = open_plain(database, name)
            leave_note(study)
            root, path = read_artifact_root(study, url), f"dashboard/studies/{study._study_id}"
        messages.print(f"http://{host}:{port}/{path}  (Ctrl-C ends)", markup=False, soft_wrap=True)
        optuna_dashboard.run_server(database, host=host, port=port, artifact_store=artifact_store(root))
