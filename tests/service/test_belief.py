from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import create_trial

from phashopt.errors import UserError
from phashopt.service.belief import belief_of
from phashopt.service.creation import create_study
from phashopt.service.spec import Spec
from phashopt.service.study import open_study

SpecOf = Callable[..., Spec]


def _trained(url: str, spec: Spec, folder: Path, trials: int) -> None:
    """Trials as if they had been run, more accurate the wider their second layer."""
    create_study(url, spec, folder)
    study, spec = open_study(url, "tiny")
    for number in range(trials):
        params = {"width_00": 4, "width_01": 2 + 2 * number, "epochs": 2, "learning_rate": 0.05}
        decision = {"decision": f"Why not? weight of the signal 0.5{number}. Without the reading: the same."}
        value = 1 - 0.3 / params["width_01"]
        study.add_trial(create_trial(params=params, distributions=spec.space, value=value, system_attrs=decision))


def test_each_layer_has_a_curve_and_each_decision_a_weight(url: str, spec_of: SpecOf, tmp_path: Path) -> None:
    _trained(url, spec_of(), tmp_path, 4)
    study, _ = open_study(url, "tiny")
    belief = belief_of(study)
    assert belief.reference == study.best_trial.number
    assert list(belief.curves) == ["width_00", "width_01"]
    for name, curve in belief.curves.items():
        errors = dict(zip(curve.at, curve.middle, strict=True))
        assert list(errors) == [2, 4, 6, 8]
        assert errors[study.best_params[name]] == pytest.approx(1)
        assert all(low <= middle <= high for low, middle, high in zip(curve.low, curve.middle, curve.high, strict=True))
    assert belief.signal == {1: 0.50, 2: 0.51, 3: 0.52, 4: 0.53}  # trial 0, the baseline, waits


@pytest.mark.parametrize(
    ("override", "trials", "words"),
    [
        ("study.seed=1", 2, "learnt from 2 trials"),
        ('search.strategy="paper"', 3, "no model of this study"),
        ('search.sampler="RandomSampler"', 3, "sampler is RandomSampler"),
    ],
)
def test_where_there_is_no_model_it_says_why(
    tmp_path: Path, spec_of: SpecOf, override: str, trials: int, words: str
) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    _trained(url, spec_of(override), tmp_path, trials)
    with pytest.raises(UserError, match=words):
        belief_of(open_study(url, "tiny")[0])
