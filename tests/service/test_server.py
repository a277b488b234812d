from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.request import Request, urlopen
from wsgiref.simple_server import WSGIRequestHandler, make_server

import optuna_dashboard
import pytest
from optuna import Trial
from optuna.trial import TrialState

from phashopt.errors import UserError
from phashopt.service.creation import create_study
from phashopt.service.events import Ended, Event
from phashopt.service.objective import Hooks, Result
from phashopt.service.server import Server
from phashopt.service.spec import Spec
from phashopt.service.study import open_study
from phashopt.service.worker import Worker
from phashopt.training.loop import Interrupted


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert holds()


def test_the_server_reaps_where_no_worker_is(url: str, study: str) -> None:
    opened, spec = open_study(url, study)
    opened.ask(spec.space)
    with Server(url, "127.0.0.1", 0, grace=0.4):
        wait_until(lambda: opened.get_trials()[0].state == TrialState.WAITING)
    assert opened.get_trials()[0].user_attrs["lost"] == 1


def test_a_study_made_through_the_proxy_lies_in_the_database_behind_it(
    url: str, study: str, spec_of: Callable[..., Spec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHASHOPT_ARTIFACTS", str(tmp_path / "artifacts"))
    with Server(url, "127.0.0.1", 0) as server:
        create_study(f"grpc://127.0.0.1:{server.port}", spec_of("study.name='other'"), tmp_path)
    assert open_study(url, "other")[1].study.name == "other"


@pytest.mark.parametrize("address", ["journal:///studies.log", "grpc://127.0.0.1:1"])
def test_what_optunas_proxy_cannot_serve_is_refused(address: str) -> None:
    with pytest.raises(UserError, match="cannot be served"):
        Server(address, "127.0.0.1", 0)


def test_a_port_that_is_taken_is_named(url: str, study: str) -> None:
    with Server(url, "127.0.0.1", 0) as server, pytest.raises(UserError, match=f"127.0.0.1:{server.port} cannot"):
        Server(url, "127.0.0.1", server.port)


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        """Nothing."""


def test_fail_trial_in_the_dashboard_reaches_the_worker(url: str, study: str, tmp_path: Path) -> None:
    opened, _ = open_study(url, study)
    dashboard = make_server("127.0.0.1", 0, optuna_dashboard.wsgi(opened._storage), handler_class=Quiet)
    threading.Thread(target=dashboard.serve_forever, daemon=True).start()
    pressed: list[int] = []

    def press(trial: Trial) -> None:
        pressed.append(trial.number)
        urlopen(
            Request(
                f"http://127.0.0.1:{dashboard.server_port}/api/trials/{trial._trial_id}/tell",
                json.dumps({"state": "Fail"}).encode(),
                {"Content-Type": "application/json"},
            )
        ).close()

    def make(study: object, spec: object, root: object, hooks: Hooks) -> Callable[[Trial], Result]:
        def wait_for_the_button(trial: Trial) -> Result:
            if not pressed:
                press(trial)
                while not hooks.interrupted():
                    time.sleep(0.01)
                raise Interrupted
            return Result(accuracy=0.5, stopped=False, epochs_used=1)

        return wait_for_the_button

    heard: list[Event] = []
    Worker(url, study, tmp_path, label="test", notify=heard.append, make_objective=make).work()
    dashboard.shutdown()
    dashboard.server_close()
    assert [(event.trial, event.state) for event in heard if isinstance(event, Ended)] == [
        (0, "FAIL"),
        (1, "COMPLETE"),
        (2, "COMPLETE"),
    ]
