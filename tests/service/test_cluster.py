from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster
from throwaway_postgres import Postgres

from phashopt.errors import UserError
from phashopt.service.cluster import RaySupervisor
from phashopt.service.creation import create_study
from phashopt.service.events import Closed, Progress
from phashopt.service.spec import Spec
from phashopt.service.supervisor import Assignment

# a pruner of ours would call a training that has settled finished
ENDLESS = ("study.trials=1", "training.epochs=100000", "search.pruner='NopPruner'")
SMALL = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
# a node's death is seen at once, and its workers get as much of the machine as the rest of the suite
WATCHFUL = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 200, "worker_niceness": 0}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two nodes, one of them with a GPU as far as Ray knows; whatever token the user's own cluster asks for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        cluster = Cluster(initialize_head=True, head_node_args={**SMALL, "_system_config": WATCHFUL})
        cluster.add_node(**SMALL, num_gpus=1)
        yield cluster
        cluster.shutdown()


@pytest.fixture(autouse=True)
def disconnected() -> Iterator[None]:
    yield
    ray.shutdown()


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "ray://127.0.0.1:{port}", "127.0.0.1:99999"])
def test_an_address_where_nobody_answers_is_one_line(address: str, tmp_path: Path) -> None:
    with socket.socket() as silent:  # bound, but it takes no connection
        silent.bind(("127.0.0.1", 0))
        place = address.format(port=silent.getsockname()[1])
        assignment = Assignment(url="postgresql://host/database", name="tiny", data_dir=tmp_path, threads=1)
        with pytest.raises(UserError, match=f"no Ray cluster answers at '{place}'"):
            RaySupervisor(assignment, place, workers=1, gpus=0)


@pytest.mark.parametrize("url", ["sqlite:///studies.db", "journal:///studies.log"])
def test_a_file_is_no_database_for_several_nodes(cluster: Cluster, url: str, tmp_path: Path) -> None:
    assignment = Assignment(url=url, name="tiny", data_dir=tmp_path, threads=1)
    with pytest.raises(UserError, match="2 nodes, but the study database is a file"):
        RaySupervisor(assignment, cluster.address, workers=1, gpus=0)
    assert not ray.is_initialized()


def test_a_killed_nodes_trial_is_gone_on_with_on_another_and_handed_back_at_the_end(
    cluster: Cluster, postgres: Postgres, spec_of: Callable[..., Spec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHASHOPT_ARTIFACTS", str(tmp_path / "artifacts"))
    url = postgres.new_database()
    study = create_study(url, spec_of(*ENDLESS), tmp_path)
    assignment = Assignment(url=url, name="tiny", data_dir=tmp_path, threads=1, grace=2.0)
    supervisor = RaySupervisor(assignment, cluster.address, workers=1, gpus=0.5)
    (node,) = cluster.worker_nodes
    last = None
    for _, event in supervisor.listen():
        last = event or last
        if not isinstance(event, Progress):
            continue
        if study.get_trials(deepcopy=False)[0].user_attrs["attempt"] == 2:
            supervisor.leave()
        elif node in cluster.worker_nodes:
            cluster.add_node(**SMALL, num_gpus=1)
            cluster.remove_node(node, allow_graceful=False)
    assert last == Closed()
    (trial,) = study.get_trials(deepcopy=False)
    assert (trial.state.name, trial.user_attrs["lost"], trial.user_attrs["attempt"]) == ("WAITING", 1, 2)
