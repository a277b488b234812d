from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import create_trial

from phashopt.errors import UserError
from phashopt.search import ADOPTED_KEY, LONGER_KEY, START_KEY, Start
from phashopt.service.adopt import Adoption, adopt
from phashopt.service.belief import predicted_best
from phashopt.service.budget import used_up
from phashopt.service.check import check_study
from phashopt.service.creation import create_study
from phashopt.service.spec import Spec
from phashopt.service.study import open_study
from phashopt.service.summary import SPEC_KEY, summarize

SAME = {"width_00": 4, "width_01": 6, "epochs": 2, "learning_rate": 0.05}
THEIRS = {"units_1": 4, "units_2": 6, "n_epochs": 2, "lr": 0.05, "dropout": 0.1}


def _other(path: Path, *rows: dict[str, float], direction: str = "maximize") -> str:
    """Somebody's study with a complete trial a row; returns its URL."""
    url = f"sqlite:///{path / 'other.db'}"
    study = optuna.create_study(storage=url, study_name="old", direction=direction)
    for number, params in enumerate(rows):
        distributions = {
            key: FloatDistribution(0, 1) if isinstance(value, float) else IntDistribution(1, 500)
            for key, value in params.items()
        }
        read = {f"dead.{next(iter(params))}": 0.25}
        study.add_trial(
            create_trial(value=0.8 + 0.01 * number, params=params, distributions=distributions, user_attrs=read)
        )
    return url


def _adopt(url: str, source: str, renamed: dict[str, str] | None = None, **given: str) -> Adoption:
    return adopt(*open_study(url, "tiny"), source, renamed or {}, given)


def test_a_studys_name_may_have_slashes(url: str, study: str, tmp_path: Path) -> None:
    source = _other(tmp_path, SAME)
    named = optuna.create_study(storage=source, study_name="cnn/v1/a", direction="maximize")
    named.add_trials(optuna.load_study(storage=source, study_name="old").trials)
    assert _adopt(url, f"{source}/cnn/v1/a").adopted == 1


@pytest.mark.parametrize("suffix", ["", "/old"])
def test_a_study_with_our_names_is_adopted_once(url: str, study: str, tmp_path: Path, suffix: str) -> None:
    source = _other(tmp_path, SAME, {**SAME, "width_01": 8}) + suffix
    assert _adopt(url, source).adopted == 2
    again = _adopt(url, source)
    assert (again.adopted, again.known) == (0, 2)
    trials = open_study(url, "tiny")[0].trials[1:]
    assert [trial.value for trial in trials] == [0.8, 0.81]
    assert [trial.user_attrs["kernels"] for trial in trials] == ["4-6", "4-8"]
    assert trials[0].params == SAME


def test_a_study_of_the_same_name_in_another_database_is_another(url: str, study: str, tmp_path: Path) -> None:
    for number, folder in enumerate((tmp_path / "one", tmp_path / "two")):
        folder.mkdir()
        assert _adopt(url, _other(folder, {**SAME, "width_01": 4 + 2 * number})).adopted == 1


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"data": {"dataset": "digits", "limit": 300}, "network": {"family": "plain"}}, []),
        ({"data": "somebody else's", "network": 3}, []),
        ({"data": {"limit": 900}, "network": {"family": "vgg"}}, ["data.limit 900", "network.family vgg"]),
    ],
)
def test_what_their_spec_has_otherwise_is_said(
    told: dict[str, object], said: list[str], url: str, study: str, tmp_path: Path
) -> None:
    source = _other(tmp_path, SAME)
    optuna.load_study(storage=source, study_name="old").set_user_attr(SPEC_KEY, json.dumps(told))
    assert _adopt(url, source).otherwise == said


def test_accuracies_on_another_data_set_are_no_evidence(url: str, study: str, tmp_path: Path) -> None:
    source = _other(tmp_path, SAME)
    told = json.dumps({"data": {"dataset": "mnist"}})
    optuna.load_study(storage=source, study_name="old").set_user_attr(SPEC_KEY, told)
    with pytest.raises(UserError, match="'old' is of mnist, this study of digits"):
        _adopt(url, source)


@pytest.mark.parametrize("known", [1, 0])
def test_what_was_adopted_before_origins_had_a_time_is_known(url: str, study: str, tmp_path: Path, known: int) -> None:
    opened, spec = open_study(url, study)
    attrs = {ADOPTED_KEY: f"old:{1 - known}"}
    opened.add_trial(create_trial(value=0.8, params=SAME, distributions=dict(spec.space), user_attrs=attrs))
    assert _adopt(url, _other(tmp_path, SAME)).known == known


@pytest.mark.parametrize(("inherits", "adopted"), [("true", 2), ("false", 1)])
def test_a_child_is_adopted_as_one_where_this_study_trains_any(
    url: str, spec_of: Callable[..., Spec], tmp_path: Path, inherits: str, adopted: int
) -> None:
    create_study(url, spec_of(f"search.inherit={inherits}"), tmp_path)
    source, start = _other(tmp_path, SAME), Start(6, 1.0, 0.5, {"learning_rate": 0.02})
    other = optuna.load_study(study_name="old", storage=source)
    other.add_trial(
        create_trial(
            value=0.9,
            params={**SAME, "width_01": 8},
            distributions=other.trials[0].distributions,
            system_attrs={START_KEY: start.note()},
        )
    )
    assert _adopt(url, source).adopted == adopted
    taken = [Start.read(trial.system_attrs) for trial in open_study(url, "tiny")[0].trials[1:]]
    assert taken == [None, start][:adopted]


@pytest.mark.parametrize(("used", "longer"), [(1, None), (9, 9)])
def test_a_training_that_went_on_is_adopted_as_long_as_it_was(
    url: str, study: str, tmp_path: Path, used: int, longer: int | None
) -> None:
    source = _other(tmp_path, SAME)
    other = optuna.load_study(study_name="old", storage=source)
    first = other.trials[0]
    attrs = {"epochs_used": used}
    params, distributions = {**SAME, "width_01": 8}, first.distributions
    other.add_trial(create_trial(value=0.9, params=params, distributions=distributions, user_attrs=attrs))
    assert _adopt(url, source).adopted == 2
    assert open_study(url, "tiny")[0].trials[2].system_attrs.get(LONGER_KEY) == longer


def test_usual_other_names_and_numbered_widths_are_understood(url: str, study: str, tmp_path: Path) -> None:
    adoption = _adopt(url, _other(tmp_path, THEIRS))
    assert adoption.names == {"width_00": "units_1", "width_01": "units_2", "epochs": "n_epochs", "learning_rate": "lr"}
    assert adoption.unused == ["dropout"]
    trial = open_study(url, "tiny")[0].trials[1]
    assert trial.params == SAME
    assert trial.user_attrs["dead.width_00"] == 0.25


def test_what_they_held_fixed_and_what_they_called_otherwise_can_be_said(url: str, study: str, tmp_path: Path) -> None:
    source = _other(tmp_path, {"first": 4, "second": 6, "lr": 0.05})
    assert _adopt(url, source, {"width_00": "first", "width_01": "second"}, epochs="2").adopted == 1
    assert open_study(url, "tiny")[0].trials[1].params == SAME


def test_what_was_adopted_does_not_become_something_else(url: str, study: str, tmp_path: Path) -> None:
    source = _other(tmp_path, {name: value for name, value in SAME.items() if name != "epochs"})
    _adopt(url, source, epochs="2")
    with pytest.raises(UserError, match="was adopted with epochs 2, not 1"):
        _adopt(url, source, epochs="1")
    assert _adopt(url, source, epochs="2").known == 1


def test_widths_go_to_the_grid_and_what_lies_outside_is_left_out(url: str, study: str, tmp_path: Path) -> None:
    adoption = _adopt(url, _other(tmp_path, {**SAME, "width_00": 5}, {**SAME, "width_00": 64}, {**SAME, "epochs": 9}))
    assert (adoption.adopted, adoption.outside) == (1, 2)
    assert "2 left aside: outside this study's ranges." in " ".join(adoption.words())
    assert open_study(url, "tiny")[0].trials[1].params["width_00"] in (4, 6)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"width_00": 4, "lr": 0.05}], "has no width_01; its parameters are lr, width_00"),
        ([{**SAME, "width_00": 64}], "lies within this study's ranges"),
        ([], "no complete trial to adopt"),
    ],
)
def test_what_does_not_fit_is_one_line_and_writes_nothing(
    rows: list[dict[str, float]], message: str, url: str, study: str, tmp_path: Path
) -> None:
    source = _other(tmp_path, *rows)
    with pytest.raises(UserError, match=message) as raised:
        _adopt(url, source)
    assert "\n" not in str(raised.value)
    assert len(open_study(url, "tiny")[0].trials) == 1


def test_a_study_adopts_neither_itself_nor_what_another_adopted(
    url: str, study: str, spec_of: Callable[..., Spec], tmp_path: Path
) -> None:
    source = _other(tmp_path, SAME)
    _adopt(url, source)
    with pytest.raises(UserError, match="this study itself"):
        _adopt(url, f"{url}/tiny")
    create_study(url, spec_of("study.name=second"), tmp_path)
    with pytest.raises(UserError, match="no complete trial to adopt"):
        adopt(*open_study(url, "second"), f"{url}/tiny", {}, {})


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize(
    ("renamed", "given", "message"),
    [
        ({"width_00": "width_01", "width_01": "width_01"}, {}, "cannot be two of our parameters"),
        ({"epochs": "epochs"}, {"epochs": "2"}, "given and mapped"),
        ({"epochs": "zzz"}, {}, "has no zzz"),
        ({}, {"epochs": "1.5"}, "write a whole number"),
    ],
)
def test_contradictions_are_refused(
    url: str, tmp_path: Path, renamed: dict[str, str], given: dict[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        _adopt(url, _other(tmp_path, SAME), renamed, **given)


@pytest.mark.parametrize(("value", "percent"), [(0.9, False), (1.0, False), (91.0, True), (2.5, True)])
def test_percentages_are_read_as_such_and_that_is_said(
    url: str, study: str, tmp_path: Path, value: float, percent: bool
) -> None:
    source = _other(tmp_path, SAME)
    other = optuna.load_study(study_name="old", storage=source)
    params, distributions = {**SAME, "width_01": 8}, other.trials[0].distributions
    other.add_trial(create_trial(value=value, params=params, distributions=distributions))
    adoption = _adopt(url, source)
    assert adoption.percent is percent
    assert ("their values read as percent" in next(adoption.words())) is percent
    assert open_study(url, "tiny")[0].trials[-1].value == pytest.approx(value / 100 if percent else value)


@pytest.mark.parametrize("value", [1.02, 2.0])
def test_values_that_are_neither_shares_nor_percentages_are_refused(
    url: str, study: str, tmp_path: Path, value: float
) -> None:
    source = _other(tmp_path, SAME)
    other = optuna.load_study(study_name="old", storage=source)
    other.add_trial(create_trial(value=value, params=SAME, distributions=other.trials[0].distributions))
    with pytest.raises(UserError, match=f"the largest value of 'old' is {value:.4g}, neither a share nor"):
        _adopt(url, source)


def test_a_study_that_minimises_is_refused(url: str, study: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not maximise one accuracy"):
        _adopt(url, _other(tmp_path, SAME, direction="minimize"))


@pytest.mark.parametrize(
    ("source", "message"),
    [("old.db", "write STORAGE or STORAGE/STUDY"), ("sqlite:///none.db/old", "there is no study database .*none.db, ")],
)
def test_a_source_that_is_none_is_said_so(url: str, study: str, source: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        _adopt(url, source)


def test_adopted_trials_teach_but_count_in_no_budget_and_are_never_the_best(
    url: str, spec_of: Callable[..., Spec], tmp_path: Path
) -> None:
    create_study(url, spec_of("study.trials=2"), tmp_path)
    _adopt(url, _other(tmp_path, SAME, {**SAME, "width_01": 8}, {**SAME, "width_01": 2}))
    study, spec = open_study(url, "tiny")
    assert sum(ADOPTED_KEY in trial.user_attrs for trial in study.trials) == 3
    assert used_up(spec.study, study.trials, None) is None
    assert summarize(study).best is None
    assert check_study(study, tmp_path) == []
    assert 0.5 < predicted_best(study, spec, {}).value < 1


def test_a_width_that_the_other_study_lists_is_taken_for_what_it_stands_for(
    url: str, study: str, spec_of: Callable[..., Spec], tmp_path: Path
) -> None:
    listed = spec_of("network.widths={values=[4,6,8]}", "study.name='listed'")
    other = create_study(f"sqlite:///{tmp_path / 'other.db'}", listed, tmp_path)
    params = {"width_00": 0, "width_01": 2, "epochs": 2, "learning_rate": 0.05}
    other.add_trial(create_trial(value=0.8, params=params, distributions=listed.space))
    _adopt(url, f"sqlite:///{tmp_path / 'other.db'}/listed")
    assert open_study(url, study)[0].trials[-1].user_attrs["kernels"] == "4-8"
