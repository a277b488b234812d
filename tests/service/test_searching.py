from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from phashopt.plans import ImageShape
from phashopt.search import PHashSampler
from phashopt.search.budget import Budget
from phashopt.service.creation import create_study
from phashopt.service.searching import make_sampler
from phashopt.service.spec import Spec
from phashopt.service.study import open_study


def test_the_search_is_told_what_its_study_may_take(spec_of: Callable[..., Spec]) -> None:
    sampler = make_sampler(spec_of("study.trials=7", "study.max_compute=1e9"), ImageShape(1, 8, 8), 10)
    assert isinstance(sampler, PHashSampler)
    assert sampler._budget == Budget(7, 1e9)


def test_the_search_is_told_when_its_hours_are_over(url: str, spec_of: Callable[..., Spec], tmp_path: Path) -> None:
    create_study(url, spec_of("study.max_hours=2"), tmp_path)
    study, _ = open_study(url, "tiny")
    assert isinstance(study.sampler, PHashSampler)
    deadline = study.sampler._budget.deadline
    assert deadline is not None  # in local time, as Optuna keeps the times of trials
    assert timedelta() <= datetime.now() + timedelta(hours=2) - deadline < timedelta(minutes=1)
