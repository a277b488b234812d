from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster
from throwaway_postgres import Postgres

from phashopt.errors import UserError
from phashopt.service.cluster import RaySupervisor
from phashopt.service.objective import Progress
from phashopt.service.spec import Spec
from phashopt.service.study import create_study, open_study
from phashopt.service.supervisor import Assignment, Closed

SMALL = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
WATCHFUL = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 200, "health_check_failure_threshold": 3}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head without and a node with a GPU, as far as Ray knows."""
    cluster = Cluster(initialize_head=True, head_node_args={**SMALL, "_system_config": WATCHFUL})
    cluster.add_node(**SMALL, num_gpus=1)
    yield cluster
    cluster.shutdown()


@pytest.fixture(autouse=True)
def disconnected() -> Iterator[None]:
    yield
    ray.shutdown()


@pytest.mark.parametrize("storage", ["sqlite:///studies.db", "journal:///studies.log"])
def test_a_file_is_no_database_for_several_nodes(cluster: Cluster, storage: str, tmp_path: Path) -> None:
    assignment = Assignment(url=storage, name="tiny", data_dir=tmp_path, threads=1)
    with pytest.raises(UserError, match="2 nodes, but the study database is a file"):
        RaySupervisor(assignment, cluster.address, workers=1, gpus=0)
    assert not ray.is_initialized()


def test_a_killed_nodes_trial_is_gone_on_with_on_another_and_handed_back_in_the_end(
    cluster: Cluster, postgres: Postgres, spec_of: Callable[..., Spec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHASHOPT_ARTIFACTS", str(tmp_path / "artifacts"))
    url = postgres.new_database()
    study = create_study(url, spec_of("study.trials=1", "training.epochs=100000"), tmp_path)
    assignment = Assignment(url=url, name="tiny", data_dir=tmp_path, threads=1, grace=2.0)
    supervisor = RaySupervisor(assignment, cluster.address, workers=1, gpus=0.5)
    workers, last = set(), None
    t0=time.monotonic()
    for _, event in supervisor.listen():
        last = event or last
        print(f"{time.monotonic()-t0:.1f} {event}") if not isinstance(event, Progress) else None
        if isinstance(event, Progress):
            (trial,) = study.get_trials(deepcopy=False)
            workers.add(trial.user_attrs["worker"])
            if len(workers)==2: supervisor.leave()
            elif len(cluster.worker_nodes)==1 and not hasattr(test_a_killed_nodes_trial_is_gone_on_with_on_another_and_handed_back_in_the_end, "x"):
                test_a_killed_nodes_trial_is_gone_on_with_on_another_and_handed_back_in_the_end.x=1
                print(f"{time.monotonic()-t0:.1f} kill")
                (node,) = cluster.worker_nodes
                cluster.remove_node(node, allow_graceful=False)
                print(f"{time.monotonic()-t0:.1f} killed")
                cluster.add_node(**SMALL, num_gpus=1, wait=False)
                print(f"{time.monotonic()-t0:.1f} added")
    assert last == Closed()
    (trial,) = study.get_trials(deepcopy=False)
    assert (trial.state.name, trial.user_attrs["lost"], trial.user_attrs["attempt"]) == ("WAITING", 1, 2)
