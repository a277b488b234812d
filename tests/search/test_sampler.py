from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial
from threadpoolctl import threadpool_info, threadpool_limits

from phashopt.errors import UserError
from phashopt.search import LONGER_KEY, STABLE_KEY, PHashSampler, Start, is_feasible
from phashopt.search.proposal import Proposal
from phashopt.search.start import moved
from phashopt.trace import TRACE_KEY, Epoch, Reading, Trace, write_trace

WIDTHS = ["width_00", "width_01"]
CAP = 700.0
SPACE: dict[str, BaseDistribution] = {
    "width_00": IntDistribution(8, 88, step=16),
    "width_01": IntDistribution(8, 88, step=16),
    "epochs": IntDistribution(2, 12),
    "learning_rate": FloatDistribution(1e-3, 0.3, log=True),
    "decay": FloatDistribution(0.0, 1.0),
}


def _cost(widths: Mapping[str, int]) -> float:
    assert list(widths) == WIDTHS
    return widths["width_00"] + widths["width_00"] * widths["width_01"]


def _sampler(seed: int = 0, **settings: Any) -> PHashSampler:
    return PHashSampler(seed, **({"widths": WIDTHS, "limits": {"macs": (_cost, CAP)}, "space": SPACE} | settings))


def _objective(trial: optuna.Trial) -> float:
    """Better with more kernels in the second layer, more epochs and a rate near 0.03; redundancy falls with need."""
    first, second = (trial.suggest_int(name, 8, 88, step=16) for name in WIDTHS)
    epochs = trial.suggest_int("epochs", 2, 12)
    rate = trial.suggest_float("learning_rate", 1e-3, 0.3, log=True)
    trial.suggest_float("decay", 0.0, 1.0)
    trial.set_constraint("macs", _cost({"width_00": first, "width_01": second}) - CAP)
    accuracy = 0.98 - 0.5 / first - 2.0 / second - 0.3 / epochs - 0.2 * abs(rate - 0.03)
    readings = {"width_00": Reading(first / 110, 0.4, 0.0), "width_01": Reading(second / 220, 0.2, 0.0)}
    curve = [accuracy - 0.2 * 0.6**number for number in range(1, epochs + 1)]
    rows = [Epoch(number, 1 - value, value, rate, readings) for number, value in enumerate(curve, start=1)]
    write_trace(trial, Trace(rows))
    return accuracy


def _study(sampler: PHashSampler, trials: int = 0, **settings: Any) -> optuna.Study:
    study = optuna.create_study(sampler=sampler, **({"direction": "maximize"} | settings))
    study.optimize(_objective, n_trials=trials)
    return study


STRATEGIES = pytest.mark.parametrize("strategy", ["model", "paper"])


def _network(trial: FrozenTrial) -> tuple[int, ...]:
    return tuple(trial.params[name] for name in [*WIDTHS, "epochs"])


def _point(trial: FrozenTrial) -> tuple[int, ...]:
    """All of it, rate and decay to a tenth of their ranges."""
    rate = np.log(trial.params["learning_rate"] / 1e-3) / np.log(0.3 / 1e-3)
    return (*_network(trial), round(5 * (2 * rate - 1)), round(5 * (2 * trial.params["decay"] - 1)))


@given(seed=st.integers(0, 2**32 - 1), cap=st.floats(200, 9000), strategy=st.sampled_from(["model", "paper"]))
@settings(max_examples=20, deadline=None)
def test_every_proposal_keeps_the_cap_and_lies_on_the_grid(seed: int, cap: float, strategy: str) -> None:
    study = _study(_sampler(seed, limits={"macs": (_cost, cap)}, strategy=strategy), 12)
    for trial in study.trials:
        assert _cost({name: trial.params[name] for name in WIDTHS}) <= cap
        assert trial.params == pytest.approx(trial.params | trial.system_attrs["proposal"])
    same = {"model": _point, "paper": _network}[strategy]
    assert len({same(trial) for trial in study.trials}) == 12


def test_a_range_that_optuna_rounds_down_is_proposed_as_rounded() -> None:
    def objective(trial: optuna.Trial) -> float:
        return trial.suggest_int("width_00", 8, 100, step=16) / 100

    study = optuna.create_study(direction="maximize", sampler=PHashSampler(0, widths=["width_00"]))
    with pytest.warns(UserWarning, match="not divisible"):
        study.optimize(objective, n_trials=6)
    assert sorted(trial.params["width_00"] for trial in study.trials) == [8, 24, 40, 56, 72, 88]


@STRATEGIES
def test_the_same_proposals_follow_from_the_same_seed(strategy: str) -> None:
    def proposals(seed: int) -> list[dict[str, Any]]:
        return [trial.params for trial in _study(_sampler(seed, strategy=strategy), 15).trials]

    assert proposals(7) == proposals(7) != proposals(8)


def test_a_restarted_process_goes_on_as_if_nothing_had_happened() -> None:
    whole = _study(_sampler(7), 15)
    restarted = _study(_sampler(7), 6)
    for _ in range(9):
        restarted.sampler = _sampler(7)
        restarted.optimize(_objective, n_trials=1)
    assert [trial.params for trial in whole.trials] == [trial.params for trial in restarted.trials]


def test_proposals_depend_on_the_trials_and_not_on_who_asked_before() -> None:
    one, two, other = _study(_sampler(3), 8), _study(_sampler(3), 8), _sampler(3)
    first = [one.ask(SPACE).params for _ in range(3)]
    second = []
    for worker in (two.sampler, other, two.sampler):
        two.sampler = worker
        second.append(two.ask(SPACE).params)
    assert first == second
    assert len({tuple(params.values()) for params in first}) == 3


def test_a_second_worker_is_joint_from_its_first_trial_on_without_being_told_the_space() -> None:
    study = _study(_sampler(space=None))
    first, second = study.ask(SPACE), study.ask(SPACE)
    assert [first.params[name] for name in WIDTHS] == [8, 8]
    assert [second.params[name] for name in WIDTHS] == [24, 24]


def test_a_small_grid_is_exhausted_before_anything_is_repeated() -> None:
    space: dict[str, BaseDistribution] = {name: IntDistribution(1, 4) for name in WIDTHS}
    sampler = PHashSampler(0, widths=WIDTHS, limits={"sum": (lambda p: sum(p.values()), 6)}, space=space)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    feasible = {(a, b) for a in range(1, 5) for b in range(1, 5) if a + b <= 6}
    for _ in range(len(feasible)):
        trial = study.ask(space)
        study.tell(trial, 1 / sum(trial.params.values()))
    assert {tuple(trial.params[name] for name in WIDTHS) for trial in study.trials} == feasible
    again = study.ask(space)
    assert tuple(again.params[name] for name in WIDTHS) in feasible
    assert "is repeated" in study.trials[again.number].system_attrs["decision"]


def test_a_grid_is_suggested_as_an_index_and_priced_by_its_values() -> None:
    grid = {"width_00": [3, 10, 50], "width_01": [2, 7, 60]}
    space: dict[str, BaseDistribution] = {name: IntDistribution(0, 2) for name in WIDTHS}
    sampler = PHashSampler(0, grid=grid, limits={"macs": (_cost, 85)}, space=space)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    proposed = set()
    for _ in range(5):
        trial = study.ask(space)
        study.tell(trial, 0.5)
        widths = {name: grid[name][trial.params[name]] for name in WIDTHS}
        assert _cost(widths) <= 85
        assert study.trials[-1].system_attrs["proposal"] == widths
        proposed.add(tuple(widths.values()))
    assert proposed == {(3, 2), (3, 7), (10, 2), (10, 7)}


@STRATEGIES
def test_what_was_enqueued_is_kept_and_the_rest_fitted_to_it(strategy: str) -> None:
    study = _study(_sampler(strategy=strategy))
    study.enqueue_trial({"width_00": 56})
    study.enqueue_trial({"width_01": 88, "epochs": 9})
    study.enqueue_trial({"width_00": 88, "width_01": 88, "epochs": 12})
    first, second, third = (study.ask(SPACE).params for _ in range(3))
    assert (first["width_00"], first["width_01"]) == (56, 8)
    assert (second["width_00"], second["width_01"], second["epochs"]) == (8, 88, 9)
    assert (third["width_00"], third["width_01"]) == (88, 88)
    assert "given" in study.trials[2].system_attrs["decision"]


@pytest.mark.parametrize("given", [{"learning_rate": 0.3}, {"learning_rate": 0.03}, {"width_01": 8}, {"epochs": 2}])
def test_what_is_given_is_predicted_by_what_was_learnt_of_it(given: dict[str, float]) -> None:
    study = _study(_sampler(), 24)
    study.enqueue_trial(given)
    study.optimize(_objective, n_trials=1)
    last = study.trials[-1]
    predicted = re.search(r"Predicted ([\d.]+) \(90%: ([\d.]+) to ([\d.]+)\)", last.system_attrs["decision"])
    assert predicted
    _, low, high = map(float, predicted.groups())
    assert last.value is not None
    assert low <= last.value <= high
    assert high - low < 0.4


@pytest.mark.parametrize("rate", [1e-9, 5.0])
def test_a_rate_given_beyond_its_range_is_no_problem(rate: float) -> None:
    study = _study(_sampler(), 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna's own: it is out of range
        study.enqueue_trial({"learning_rate": rate})
        study.optimize(_objective, n_trials=2)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 6


def test_a_proposal_cut_off_leaves_no_start_and_keeps_what_was_stored() -> None:
    study = _study(_sampler(), 3)
    trial = study._storage.create_new_trial(
        study._study_id,
        create_trial(
            state=TrialState.WAITING,
            params={"width_00": 56},
            distributions={"width_00": SPACE["width_00"]},
            system_attrs={"start": Start(9, 1.0, 1.0).note()},
        ),
    )
    study.ask(SPACE)
    begun = study._storage.get_trial(trial)
    assert Start.read(begun.system_attrs) is None
    assert begun.system_attrs["proposal"]["width_00"] == begun.params["width_00"] == 56
    assert _cost({name: begun.params[name] for name in WIDTHS}) <= CAP


def test_a_study_that_minimises_walks_the_same_way() -> None:
    up, down = _study(_sampler(5)), _study(_sampler(5), direction="minimize")
    up.optimize(_objective, n_trials=12)
    down.optimize(lambda trial: -_objective(trial), n_trials=12)
    assert [trial.params for trial in up.trials] == [trial.params for trial in down.trials]


@pytest.mark.parametrize(("strategy", "word"), [("model", "weight of the signal"), ("paper", "redundant")])
def test_every_trial_tells_its_story_in_plain_json(strategy: str, word: str) -> None:
    study = _study(_sampler(strategy=strategy), 12)
    for trial in study.trials:
        attrs = json.loads(json.dumps(trial.system_attrs))
        assert attrs["parent"] == -1
        assert attrs["proposal_without_reading"].keys() >= {*WIDTHS, "epochs"}
        if attrs["decision"].endswith("Without the reading: the same."):
            assert attrs["proposal_without_reading"] == attrs["proposal"]
    assert any(word in trial.system_attrs["decision"] for trial in study.trials)


def test_readings_change_proposals_and_blank_ones_do_not() -> None:
    def blank(trial: optuna.Trial) -> float:
        value = _objective(trial)
        trial.storage.set_trial_system_attr(trial._trial_id, "trace", {})
        return value

    read, unread = _study(_sampler(1), 12), _study(_sampler(1))
    unread.optimize(blank, n_trials=12)
    assert not all(t.system_attrs["decision"].endswith("the same.") for t in read.trials)
    assert all(t.system_attrs["decision"].endswith("the same.") for t in unread.trials)


def test_the_proposal_without_reading_is_what_a_blank_study_would_have_proposed() -> None:
    study = _study(_sampler(), 10)
    blank = optuna.create_study(direction="maximize", sampler=_sampler())
    for trial in study.trials:
        attrs = {key: value for key, value in trial.system_attrs.items() if key != "trace"}
        blank.add_trial(
            create_trial(value=trial.value, params=trial.params, distributions=trial.distributions, system_attrs=attrs)
        )
    blank.ask(SPACE), study.ask(SPACE)
    assert blank.trials[-1].system_attrs["proposal"] == study.trials[-1].system_attrs["proposal_without_reading"]


@pytest.mark.parametrize("state", [TrialState.PRUNED, TrialState.COMPLETE])
def test_without_the_reading_nobody_knows_of_a_dead_layer(state: TrialState) -> None:
    study = _study(_sampler(), 8)
    rows = [Epoch(1, loss=0.7, accuracy=0.5, readings={WIDTHS[-1]: Reading(0.0, 0.0, 1.0)})]
    blank = optuna.create_study(direction="maximize", sampler=_sampler())
    dead = [
        create_trial(
            state=state,
            value=0.5 if state == TrialState.COMPLETE else None,
            params={**study.trials[0].params, "decay": decay},
            distributions=study.trials[0].distributions,
            system_attrs={TRACE_KEY: Trace(rows).to_json()},
        )
        for decay in (1e-4, 2e-4, 5e-4)
    ]
    for trial in dead:
        study.add_trial(trial)
    for trial in study.trials:
        trace = Trace.from_json(trial.system_attrs[TRACE_KEY]).unread.to_json()
        blank.add_trial(
            create_trial(
                state=trial.state,
                value=trial.value,
                params=trial.params,
                distributions=trial.distributions,
                system_attrs={**trial.system_attrs, TRACE_KEY: trace},
            )
        )
    blank.ask(SPACE), study.ask(SPACE)
    assert blank.trials[-1].system_attrs["proposal"] == study.trials[-1].system_attrs["proposal_without_reading"]


def test_widths_nobody_named_are_those_with_a_reading() -> None:
    study = _study(PHashSampler(0), 8)
    decisions = [trial.system_attrs["decision"] for trial in study.trials]
    assert decisions[0].startswith("It is not known yet which widths")
    assert all(trial.system_attrs["proposal"].keys() >= {*WIDTHS, "epochs"} for trial in study.trials[1:])


@pytest.mark.parametrize("base", [RandomSampler, TPESampler])
def test_the_papers_rule_leaves_all_else_to_the_base_sampler(
    base: type[RandomSampler | TPESampler],
) -> None:
    seeds: list[int] = []

    def factory(seed: int) -> optuna.samplers.BaseSampler:
        seeds.append(seed)
        return base(seed=seed)

    study = _study(_sampler(base=factory, strategy="paper"), 12)
    assert len({trial.params["decay"] for trial in study.trials}) == 12
    assert len(set(seeds)) == len(seeds) == 12


def test_independent_values_come_from_streams_of_their_own() -> None:
    study = optuna.create_study(sampler=PHashSampler(0))
    trial = study.ask()
    assert trial.suggest_float("a", 0, 1) != trial.suggest_float("b", 0, 1)


def test_a_hyperband_bracket_hides_no_trial_from_the_sampler() -> None:
    pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=9)
    study = _study(_sampler(), 15, pruner=pruner)
    assert len({_point(trial) for trial in study.trials}) == 15
    complete = np.cumsum([trial.state == TrialState.COMPLETE for trial in study.trials])
    told = [f"from {before} training" for before in complete[:-1]]
    assert any(words in trial.system_attrs["decision"] for words, trial in zip(told, study.trials[1:], strict=True))


def test_a_trial_that_was_handed_back_goes_on_as_what_it_was(tmp_path: Path) -> None:
    study = _study(_sampler(), trials=4, storage=f"sqlite:///{tmp_path}/study.db")
    trial = study.ask(SPACE)
    told = dict(study._storage.get_trial_system_attrs(trial._trial_id))
    study.optimize(_objective, n_trials=3)
    study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
    again = study.ask(SPACE)
    assert (again.number, again.params) == (trial.number, trial.params)
    assert study._storage.get_trial_system_attrs(again._trial_id) == told


def test_conditional_widths_do_not_stop_the_study() -> None:
    def objective(trial: optuna.Trial) -> float:
        layers = trial.suggest_int("layers", 1, 3)
        counts = [trial.suggest_int(f"width_{index:02d}", 4, 32) for index in range(layers)]
        for index, count in enumerate(counts):
            trial.set_user_attr(f"redundancy.width_{index:02d}", count / 40)
        return sum(counts) / 96

    study = optuna.create_study(direction="maximize", sampler=PHashSampler(0))
    study.optimize(objective, n_trials=20)
    assert all(trial.state == TrialState.COMPLETE for trial in study.trials)


def test_a_changed_range_does_not_stop_the_study() -> None:
    study = optuna.create_study(direction="maximize", sampler=PHashSampler(0, widths=["width_00"]))
    for low, high in ((0, 9), (1, 9), (20, 30)):
        study.optimize(lambda trial: trial.suggest_int("width_00", low, high) / 30, n_trials=6)  # noqa: B023
    assert all(20 <= trial.params["width_00"] <= 30 for trial in study.trials[-6:])


def test_a_fixed_parameter_is_left_alone() -> None:
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        partial = optuna.samplers.PartialFixedSampler({"epochs": 3}, _sampler())
    study = optuna.create_study(direction="maximize", sampler=partial)
    study.optimize(_objective, n_trials=8)
    assert {trial.params["epochs"] for trial in study.trials} == {3}
    assert all(is_feasible(trial) for trial in study.trials)


def test_a_cap_that_no_network_keeps_is_the_users_to_mend() -> None:
    with pytest.raises(UserError, match="macs <= 71: the smallest has 72"):
        _sampler(limits={"macs": (_cost, 71)}).sample_relative(*_asking(), SPACE)


def test_limits_need_widths() -> None:
    with pytest.raises(UserError, match="widths"):
        PHashSampler(0, limits={"macs": (_cost, 71)})


def test_limits_need_kernel_counts() -> None:
    space = SPACE | {"width_01": FloatDistribution(8, 100)}
    with pytest.raises(UserError, match="suggest width_01 with suggest_int"):
        _sampler(space=space).sample_relative(*_asking(), space)


def test_importing_the_search_does_not_import_torch() -> None:
    script = "import sys, phashopt.search; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_proposal_takes_one_thread_and_gives_the_others_back() -> None:
    taken: list[int] = []

    def threads() -> list[int]:
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    def cost(widths: Mapping[str, int]) -> float:
        taken.extend(threads())
        return _cost(widths)

    with threadpool_limits(limits=2, user_api="blas"):
        before = threads()
        _study(_sampler(limits={"macs": (cost, CAP)}), 1)
        assert set(taken) == {1}
        assert threads() == before


def test_two_processes_propose_what_one_would(tmp_path: Path) -> None:
    script = f"""
import json, optuna
from optuna.distributions import IntDistribution
from phashopt.search import PHashSampler
optuna.logging.set_verbosity(optuna.logging.ERROR)
space = {{"width_00": IntDistribution(4, 64), "width_01": IntDistribution(4, 64)}}
limits = {{"sum": (lambda widths: sum(widths.values()), 60)}}
sampler = PHashSampler(0, widths=["width_00", "width_01"], limits=limits, space=space)
study = optuna.load_study(study_name="s", storage="sqlite:///{tmp_path}/s.db", sampler=sampler)
trial = study.ask(space)
study.tell(trial, 0.5)
print(json.dumps(trial.params))
"""
    optuna.create_study(study_name="s", storage=f"sqlite:///{tmp_path}/s.db", direction="maximize")
    processes = [
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True) for _ in range(3)
    ]
    space: dict[str, BaseDistribution] = {name: IntDistribution(4, 64) for name in WIDTHS}
    sampler = PHashSampler(0, widths=WIDTHS, limits={"sum": (lambda p: sum(p.values()), 60)}, space=space)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    alone = []
    for _ in processes:
        trial = study.ask(space)
        study.tell(trial, 0.5)
        alone.append(trial.params)
    assert [json.loads(process.stdout) for process in processes] == alone


def _asking() -> tuple[optuna.Study, FrozenTrial]:
    study = optuna.create_study(direction="maximize")
    study.ask()
    return study, study.trials[0]


def test_a_childs_parent_is_a_finished_trial_and_its_start_their_distance() -> None:
    study = _study(_sampler(inherit=True), 20)
    children = [trial for trial in study.trials if Start.read(trial.system_attrs)]
    assert children
    for child in children:
        parent = study.trials[child.system_attrs["parent"]]
        ancestors = Start.read(parent.system_attrs)
        epochs = parent.params["epochs"] + (ancestors.epochs if ancestors else 0)
        moves = moved(WIDTHS, parent.params, child.params)
        start = Start.read(child.system_attrs)
        assert start
        assert (start.epochs, start.down, start.up) == (epochs, *moves)
        others = {name: value for name, value in parent.params.items() if name not in {*WIDTHS, "epochs"}}
        assert ancestors or start.before == pytest.approx(others)
        how = "inherits kernels of" if start.moves else "trains anew from the end of"
        assert f"{how} trial {parent.number} " in child.system_attrs["decision"]


def test_a_childs_rate_that_was_given_is_no_rate_of_its_ancestors() -> None:
    study = _study(_sampler(inherit=True), 8)
    for _ in range(12):
        study.enqueue_trial({"learning_rate": 0.06})
        study.optimize(_objective, n_trials=1)
    children = [trial for trial in study.trials[8:] if Start.read(trial.system_attrs)]
    assert children
    for child in children:
        start, parent = Start.read(child.system_attrs), study.trials[child.system_attrs["parent"]]
        ancestors = Start.read(parent.system_attrs)
        assert start
        rates = [parent.params["learning_rate"], *([ancestors.before["learning_rate"]] if ancestors else [])]
        assert min(rates) - 1e-9 <= start.before["learning_rate"] <= max(rates) + 1e-9


@pytest.mark.parametrize(
    ("change", "said"),
    [({}, "the same."), ({"parent": 3}, "with the kernels of trial 3."), ({"longer": 30}, "epochs 30")],
)
def test_what_differs_without_the_reading_is_told(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, int], said: str
) -> None:
    study = _study(_sampler(), 4)
    decide = PHashSampler._decide

    def changed(*args: Any) -> tuple[Proposal, Proposal]:
        _, blank = decide(*args)
        return blank, replace(blank, **change)

    monkeypatch.setattr(PHashSampler, "_decide", changed)
    study.optimize(_objective, n_trials=1)
    assert said in study.trials[-1].system_attrs["decision"].partition("Without the reading: ")[2]


@STRATEGIES
def test_nothing_inherits_unless_it_may(strategy: str) -> None:
    study = _study(_sampler(strategy=strategy, inherit=strategy == "paper"), 15)
    assert not any(Start.read(trial.system_attrs) for trial in study.trials)


def test_threads_that_ask_at_once_are_proposed_different_points() -> None:
    study = _study(_sampler())
    study.optimize(_objective, n_trials=8, n_jobs=4)
    assert len({_point(trial) for trial in study.trials}) == 8


def test_a_pickled_sampler_goes_on_as_it_would_have() -> None:
    study = _study(_sampler(), 5)
    study.sampler, first = pickle.loads(pickle.dumps(study.sampler)), study.sampler
    again = study.ask(SPACE)
    study.tell(again, state=TrialState.FAIL)
    assert first._rng(again.number).random() == study.sampler._rng(again.number).random()
    assert again.params.keys() == SPACE.keys()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"limits": {"macs": (_cost, 0.0)}}, "it must be finite and more than 0"),
        ({"limits": {"macs": (_cost, float("inf"))}}, "it must be finite and more than 0"),
        ({"limits": {"macs": 5000}}, r"limits\['macs'\] is 5000: write \(cost, cap\)"),
        ({"limits": {"macs": (5000, _cost)}}, r"write \(cost, cap\), a function of all widths and a number"),
        ({"grid": {"batch_size": [16, 32]}}, "neither a width nor epochs"),
        ({"strategy": "modle"}, "strategy is 'modle': take one of model, paper"),
        ({"trials": 0}, "a study has at least one"),
        ({"compute": 0.0}, "compute is 0: a study takes some"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        _sampler(**settings)


@pytest.mark.parametrize("told", [None, float("nan"), "much"])
def test_a_cost_that_is_no_number_is_named(told: object) -> None:
    study = optuna.create_study(sampler=_sampler(limits={"macs": (lambda _: told, 1.0)}))
    with pytest.raises(UserError, match=f"a cost of limits is {told!r} for .*: return a number"):
        study.ask(SPACE)


def test_a_cap_may_be_a_number_of_numpys() -> None:
    limits = {"a": (_cost, np.int64(700)), "b": (_cost, np.float32(700))}
    assert [cap for _, cap in _sampler(limits=limits)._limits.values()] == [700, 700]


def test_a_grid_keeps_its_order() -> None:
    grid = {"width_01": [8, 16], "width_00": [8, 16], "epochs": [2, 4]}
    assert PHashSampler(0, grid=grid)._widths == ("width_01", "width_00")


def test_a_width_that_no_trial_has_is_named() -> None:
    with pytest.raises(UserError, match="widths: the trials have no 'width_1'; did you mean 'width_01'"):
        _study(_sampler(widths=["width_00", "width_1"], limits={"macs": (lambda _: 1.0, CAP)}, space=None), 2)


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED])
def test_a_trial_that_ended_before_its_last_width_hides_it_from_nobody(state: TrialState) -> None:
    study = _study(_sampler(space=None), 3)
    short = study.ask()
    short.suggest_int("width_00", 8, 88, step=16)
    study.tell(short, 0.0 if state == TrialState.COMPLETE else None, state=state)
    study.optimize(_objective, n_trials=4)
    assert len({_point(trial) for trial in study.trials[1:3] + study.trials[4:]}) == 6


def test_failed_trials_tell_the_space_too() -> None:
    study = optuna.create_study(direction="maximize", sampler=_sampler(space=None))

    def fails(trial: optuna.Trial) -> float:
        _objective(trial)
        raise RuntimeError

    study.optimize(fails, n_trials=8, catch=RuntimeError)
    assert len({_point(trial) for trial in study.trials}) == 8


@pytest.mark.parametrize("names", [[f"width_{n:02d}" for n in range(3)], [f"conv{n}_kernels" for n in range(3)]])
def test_depth_may_be_searched(names: list[str]) -> None:
    limits = {"macs": (lambda widths: float(sum(widths.values())), 150.0)}
    study = optuna.create_study(direction="maximize", sampler=_sampler(widths=names, limits=limits, space=None))

    def deep(trial: optuna.Trial) -> float:
        depth = trial.suggest_int("layers", 1, 3)
        trial.suggest_categorical("conv0_kernel_size", [3, 5])  # much like a width, and none
        return 0.9 - 1 / sum(trial.suggest_int(name, 8, 88, step=16) for name in names[:depth])

    study.optimize(deep, n_trials=16)
    points = {json.dumps(trial.system_attrs["proposal"]) for trial in study.trials if "proposal" in trial.system_attrs}
    assert len(points) == sum("not known" not in trial.system_attrs["decision"] for trial in study.trials) > 8
    assert max(study.trials[8:], key=lambda trial: trial.params["layers"]).params["layers"] == 3


@pytest.mark.parametrize("value", [24, 24.0, "24"])
def test_what_is_enqueued_is_kept_however_it_is_written(value: float | str) -> None:
    study = _study(_sampler(), 2)
    study.enqueue_trial({"width_01": value})
    assert int(study.ask(SPACE).params["width_01"]) == 24
    assert study.trials[-1].system_attrs["proposal"]["width_01"] == 24


@pytest.mark.parametrize("index", [1, 1.0])
def test_an_index_is_one_however_it_is_written(index: float) -> None:
    grid = {name: [8, 24, 40] for name in WIDTHS}
    space: dict[str, BaseDistribution] = dict.fromkeys(WIDTHS, IntDistribution(0, 2))
    study = optuna.create_study(direction="maximize", sampler=_sampler(grid=grid, space=space))
    study.enqueue_trial({"width_01": index})
    study.ask(space)
    assert study.trials[-1].system_attrs["proposal"]["width_01"] == 24


def test_a_range_may_be_widened_under_way() -> None:
    study = _study(_sampler(space=None, limits={"macs": (lambda widths: sum(widths.values()), 150.0)}), 4)

    def wider(trial: optuna.Trial) -> float:
        widths = [trial.suggest_int(name, 8, 136, step=16) for name in WIDTHS]
        rate = trial.suggest_float("learning_rate", 1e-3, 0.3, log=True)
        return 1 - 1 / sum(widths) - 0.1 * abs(rate - 0.03)

    study.optimize(wider, n_trials=6)
    assert sum("not known" in trial.system_attrs["decision"] for trial in study.trials) == 1
    assert any(trial.params["width_01"] > 8 for trial in study.trials[5:])


@pytest.mark.filterwarnings("ignore:PartialFixedSampler is experimental")
def test_a_width_that_another_sampler_fixes_is_reckoned_with() -> None:
    fixed = optuna.samplers.PartialFixedSampler({"width_00": 24}, _sampler())
    study = optuna.create_study(direction="maximize", sampler=fixed)
    study.optimize(_objective, n_trials=8)
    later = [trial.params for trial in study.trials[1:]]
    assert all(params["width_00"] == 24 and _cost({name: params[name] for name in WIDTHS}) <= CAP for params in later)
    assert any(params["width_01"] > 8 for params in later)


@pytest.mark.parametrize("end", [0.004, 0.012, 0.05])
def test_rates_that_diverge_are_left_alone(end: float) -> None:
    """Though the rate is worth more the higher it is, up to where trainings diverge."""

    def diverging(trial: optuna.Trial) -> float:
        accuracy = _objective(trial)
        rate = trial.params["learning_rate"]
        if rate <= end:
            return 1 - (1 - accuracy) * (end / rate) ** 0.25
        write_trace(trial, Trace([Epoch(1, 2.3, 0.1, rate), Epoch(2, float("nan"), 0.1, rate)]))
        return float("nan")

    study = _study(_sampler())
    study.optimize(diverging, n_trials=20)
    assert sum(trial.state == TrialState.FAIL for trial in study.trials) <= 5
    assert max(trial.params["learning_rate"] for trial in study.trials if trial.state == TrialState.COMPLETE) > end / 2


def test_other_numbers_are_drawn_when_all_networks_are_tried() -> None:
    space = {"width_00": IntDistribution(8, 16, step=8), "rate": FloatDistribution(0.0, 1.0)}
    study = optuna.create_study(
        direction="maximize",
        sampler=PHashSampler(0, widths=["width_00"], limits={"macs": (lambda _: 1.0, 2.0)}, space=space),
    )
    for _ in range(16):
        trial = study.ask(space)
        study.tell(trial, 0.5 + trial.params["width_00"] / 100)
    cells = {(trial.params["width_00"], round(5 * (2 * trial.params["rate"] - 1))) for trial in study.trials}
    assert len(cells) == 16


def _paid(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> int:
    """Epochs that it trained itself."""
    attrs, parent = trial.system_attrs, trial.system_attrs["parent"]
    goes_on = parent >= 0 and attrs.get("start") == study.trials[parent].system_attrs.get("start")
    return trial.user_attrs["epochs_used"] - (study.trials[parent].user_attrs[STABLE_KEY] if goes_on else 0)


@pytest.mark.parametrize(
    ("settings", "whole"), [({}, None), ({"trials": 15}, 180), ({"trials": 40}, 480), ({"compute": 300.0}, 300)]
)
def test_trials_that_build_on_others_go_on_beyond_the_range_of_lengths(
    settings: dict[str, Any], whole: int | None
) -> None:
    """More epochs are better, for ever; one trial may take all that is left of the study."""

    def objective(trial: optuna.Trial) -> float:
        widths = [trial.suggest_int(name, 8, 88, step=16) for name in WIDTHS]
        epochs = trial.suggest_int("epochs", 2, 12)
        trial.suggest_float("learning_rate", 1e-3, 0.3, log=True)
        trial.suggest_float("decay", 0.0, 1.0)
        told = trial.study._storage.get_trial_system_attrs(trial._trial_id)
        epochs = told.get(LONGER_KEY) or epochs
        trial.set_user_attr("epochs_used", epochs)
        trial.set_user_attr(STABLE_KEY, epochs - 1)
        trial.set_user_attr("train_macs", _paid(trial.study, trial.study.trials[trial.number]))
        return 0.98 - 0.5 / widths[0] - 2.0 / widths[1] - 0.5 / epochs

    study = optuna.create_study(sampler=_sampler(inherit=True, **settings), direction="maximize")
    study.optimize(objective, n_trials=15)
    longer = [trial for trial in study.trials if LONGER_KEY in trial.system_attrs]
    assert longer
    for trial in longer:
        parent = study.trials[trial.system_attrs["parent"]]
        before, epochs = parent.user_attrs["epochs_used"], trial.system_attrs[LONGER_KEY]
        assert trial.params["epochs"] == 12 < epochs
        paid = [_paid(study, each) for each in study.trials[: trial.number]]
        step, spare = _paid(study, trial), (whole or 2 * sum(paid)) - sum(paid)
        assert step in (12, 24) or (epochs == 2 * before and step <= spare)
        assert f"goes on from trial {parent.number} " in trial.system_attrs["decision"]
        assert f"epochs {before} -> {epochs}" in trial.system_attrs["decision"]
    assert max(trial.system_attrs[LONGER_KEY] for trial in longer) > 36


def test_a_budget_in_compute_counts_as_one_in_trials_that_ends_with_it() -> None:
    """Each trial takes one unit; the budget that ends first decides."""

    def objective(trial: optuna.Trial) -> float:
        trial.set_user_attr("train_macs", 1.0)
        return _objective(trial)

    decided = []
    for budgets in ({"trials": 12}, {"compute": 12.0}, {"trials": 12, "compute": 100.0}, {"compute": 100.0}):
        study = optuna.create_study(sampler=_sampler(**budgets), direction="maximize")
        study.optimize(objective, n_trials=10)
        decided.append([trial.system_attrs["decision"] for trial in study.trials])
    assert decided[0] == decided[1] == decided[2] != decided[3]


def test_a_search_is_over_after_its_deadline_as_after_its_last_trial() -> None:
    """And long before it, far from over; its time zone is anybody's."""
    there = datetime.now(UTC).astimezone(timezone(timedelta(hours=14)))
    decided = []
    for budgets in (
        {"deadline": there - timedelta(hours=1)},
        {"trials": 1},
        {"deadline": there + timedelta(hours=1e4)},
        {"trials": 10**6},
    ):
        study = optuna.create_study(sampler=_sampler(**budgets), direction="maximize")
        study.optimize(_objective, n_trials=8)
        decided.append([trial.system_attrs["decision"] for trial in study.trials])
    assert decided[0] == decided[1] != decided[2] == decided[3]


@pytest.mark.parametrize(
    "enqueued",
    [
        {"width_00": 0},
        {"width_01": -4},
        {"epochs": 0},
        {"width_00": "8"},
        {"width_00": "many"},
        {"epochs": "many"},
        {"width_00": None},
        {"learning_rate": None},
    ],
    ids=str,
)
def test_nobody_else_suffers_from_what_was_enqueued(enqueued: dict[str, Any]) -> None:
    """Optuna warns of such a value and stores it."""
    study = optuna.create_study(direction="maximize", sampler=_sampler())
    study.optimize(_objective, 2)
    study.enqueue_trial({"width_00": 8})
    study.enqueue_trial(enqueued)
    study.optimize(_objective, 1)
    with warnings.catch_warnings(), suppress(ValueError):  # it fails itself if Optuna cannot store what it is given
        warnings.simplefilter("ignore", UserWarning)
        study.ask(SPACE)
    study.optimize(_objective, 2)
    assert [len(trial.params) for trial in study.trials[-2:]] == [len(SPACE)] * 2


@pytest.mark.parametrize(
    ("cost", "cap", "best"),
    [
        (lambda widths: max(widths.values()), 40, {"width_00": 40, "width_01": 40}),
        (
            lambda widths: -(-widths["width_00"] // 48) * -(-widths["width_01"] // 48),
            2,
            {"width_00": 40, "width_01": 88},
        ),
    ],
    ids=["the widest layer", "tiles"],
)
def test_a_cost_that_is_no_quadratic_is_filled_up(
    cost: Callable[[Mapping[str, int]], float], cap: float, best: dict[str, int]
) -> None:
    space = {name: SPACE[name] for name in WIDTHS}
    study = optuna.create_study(
        direction="maximize", sampler=_sampler(limits={"cost": (cost, cap)}, space=space, trials=6)
    )
    for _ in range(6):
        trial = study.ask(space)
        study.tell(trial, 0.9 - sum(0.5 / trial.params[name] for name in WIDTHS))
    assert best in [trial.params for trial in study.trials]
