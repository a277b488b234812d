"""Optuna's public sampler suites, run against `PHashSampler` in several set-ups."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase

from phashopt.search import PHashSampler

SETUPS: dict[str, Callable[[], BaseSampler]] = {
    "plain": lambda: PHashSampler(seed=0),
    "unseeded": PHashSampler,
    "widths": lambda: PHashSampler(seed=0, widths=["x", "y"]),
}


class TestBasic(BasicSamplerTestCase):
    @pytest.fixture(params=SETUPS)
    def sampler(self, request: pytest.FixtureRequest) -> Callable[[], BaseSampler]:
        return SETUPS[request.param]


class TestRelative(RelativeSamplerTestCase):
    @pytest.fixture(params=SETUPS)
    def sampler(self, request: pytest.FixtureRequest) -> Callable[[], BaseSampler]:
        return SETUPS[request.param]


class TestSingleOnly(SingleOnlySamplerTestCase):
    @pytest.fixture(params=SETUPS)
    def sampler(self, request: pytest.FixtureRequest) -> Callable[[], BaseSampler]:
        return SETUPS[request.param]
