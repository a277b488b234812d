from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from phashopt.report.exhibit import gather
from phashopt.service.storage import trial_folder
from phashopt.service.summary import StudySummary, roles
from phashopt.training.files import WEIGHTS
from phashopt.training.film import FILM
from phashopt.training.snapshot import SNAPSHOT
from phashopt.training.weights import save_weights

from .conftest import Real


@pytest.fixture
def copy(real: Real, tmp_path: Path) -> Path:
    """The study's artifacts, to be spoilt."""
    shutil.copytree(real.root / real.summary.name, tmp_path / real.summary.name)
    return tmp_path


def test_a_finished_trial_has_left_everything(real: Real) -> None:
    for exhibit in gather(real.summary, real.root):
        assert exhibit.subject is not None
        assert exhibit.snapshot is not None
        assert exhibit.film is not None
        assert exhibit.blueprint is not None
        assert exhibit.blueprint.cost.macs == exhibit.trial.attrs["macs"]
        assert exhibit.recipe is not None


def test_what_is_gone_is_left_out(real: Real, tmp_path: Path) -> None:
    for exhibit in gather(real.summary, tmp_path):
        assert (exhibit.subject, exhibit.snapshot, exhibit.film) == (None, None, None)
        assert exhibit.blueprint is not None


def test_broken_weights_are_as_good_as_none(real: Real, copy: Path) -> None:
    (*_, exhibit) = gather(real.summary, copy)
    assert exhibit.subject is not None
    folder = trial_folder(copy, real.summary.name, exhibit.trial.number)
    next(exhibit.subject.network.parameters()).data.fill_(math.nan)
    description = (folder / "network.json").read_text()
    save_weights(folder, exhibit.subject.network, {})
    (folder / "network.json").write_text(description)
    assert (folder / WEIGHTS).exists()
    assert gather(real.summary, copy)[-1].subject is None


@pytest.mark.parametrize("name", [SNAPSHOT, FILM])
def test_pictures_that_are_cut_short_are_as_good_as_none(real: Real, copy: Path, name: str) -> None:
    (*_, exhibit) = gather(real.summary, copy)
    file = trial_folder(copy, real.summary.name, exhibit.trial.number) / name
    file.write_bytes(file.read_bytes()[:100])
    (*_, cut) = gather(real.summary, copy)
    assert [cut.snapshot is None, cut.film is None] == [name == SNAPSHOT, name == FILM]


def test_a_study_of_another_kind_has_no_blueprint(real: Real) -> None:
    assert all(exhibit.blueprint is None for exhibit in gather(replace(real.summary, spec={}), real.root))


def test_a_baseline_that_is_the_best_stands_once(summary: StudySummary) -> None:
    assert list(roles(summary)) == ["baseline", "best"]
    assert list(roles(replace(summary, best=summary.baseline))) == ["best"]
    assert roles(replace(summary, best=None, baseline=None)) == {}
