from __future__ import annotations

import re
from pathlib import Path

import pytest

from phashopt.bench.arms import ARMS, make_arm
from phashopt.bench.worlds import Formula, SyntheticWorld
from phashopt.errors import UserError

THEIRS = """
from optuna.pruners import BasePruner
from optuna.samplers import RandomSampler

class Unmade(RandomSampler):
    def __init__(self, seed=None): raise ValueError("needs a file")

class Lost(RandomSampler):
    def sample_independent(self, *_): raise RuntimeError("is lost")

class Far(RandomSampler):
    def sample_independent(self, *_): return 10**6

class Between(RandomSampler):
    def sample_independent(self, *_): return 1.5

class Never(BasePruner):
    def prune(self, *_): raise RuntimeError("never")
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SyntheticWorld:
    (tmp_path / "of_theirs.py").write_text(THEIRS)
    monkeypatch.syspath_prepend(tmp_path)
    return SyntheticWorld(Formula(2), 0)


@pytest.mark.parametrize(
    ("arm", "cause"),
    [
        ("of_theirs:Unmade", "needs a file"),
        ("of_theirs:Lost", "is lost"),
        ("of_theirs:Far", "1000000"),
        ("of_theirs:Between", "1.5"),
        ("RandomSampler+of_theirs:Never", "never"),
        ("phash+of_theirs:Never", "never"),
    ],
)
def test_what_fails_in_somebody_elses_search_is_told_with_its_arm(world: SyntheticWorld, arm: str, cause: str) -> None:
    with pytest.raises(UserError, match=f"--arm:? '?{re.escape(arm)}") as told:
        make_arm(arm, world, 0, 6).step()
    assert cause in str(told.value)


@pytest.mark.parametrize("arm", [*ARMS, "phash+phash"])
def test_what_fails_in_ours_is_no_mistake_of_the_user(world: SyntheticWorld, arm: str) -> None:
    search = make_arm(arm, world, 0, 6)
    search.study.sampler = None  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        search.step()
