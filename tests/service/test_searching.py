from __future__ import annotations

from collections.abc import Callable

from phashopt.plans import ImageShape
from phashopt.search import PHashSampler
from phashopt.search.budget import Budget
from phashopt.service.searching import make_sampler
from phashopt.service.spec import Spec


def test_the_search_is_told_what_its_study_may_take(spec_of: Callable[..., Spec]) -> None:
    sampler = make_sampler(spec_of("study.trials=7", "study.max_compute=1e9"), ImageShape(1, 8, 8), 10)
    assert isinstance(sampler, PHashSampler)
    assert sampler._budget == Budget(7, 1e9)
