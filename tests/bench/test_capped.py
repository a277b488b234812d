from __future__ import annotations

import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.samplers import BaseSampler

from phashopt.bench.capped import CappedTPE

CAP = 300.0
SPACE = {"width_00": IntDistribution(2, 32), "width_01": IntDistribution(0, 4), "epochs": IntDistribution(1, 9)}
GRID = {"width_01": [2, 4, 8, 16, 32]}


def cost(widths: dict[str, int]) -> float:
    return widths["width_00"] * widths["width_01"]


@pytest.fixture
def sampler() -> BaseSampler:
    return CappedTPE(3, widths=["width_00", "width_01"], limits={"macs": (cost, CAP)}, grid=GRID, space=SPACE)


def test_every_proposal_keeps_the_cap_and_fills_it(sampler: BaseSampler) -> None:
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for number in range(16):  # ten of them random, then TPE's own
        trial = study.ask(SPACE)
        point = {"width_00": trial.params["width_00"], "width_01": GRID["width_01"][trial.params["width_01"]]}
        assert cost(point) <= CAP
        wider = [{**point, "width_00": point["width_00"] + 1}]
        wider += [{**point, "width_01": step} for step in GRID["width_01"] if step > point["width_01"]]
        assert all(cost(each) > CAP or each["width_00"] > 32 for each in wider)
        study.tell(trial, number)


def test_what_an_enqueued_trial_fixes_is_kept(sampler: BaseSampler) -> None:
    study = optuna.create_study(sampler=sampler)
    study.enqueue_trial({"width_00": 32, "width_01": 4, "epochs": 5})
    assert study.ask(SPACE).params == {"width_00": 32, "width_01": 4, "epochs": 5}
