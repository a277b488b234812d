from __future__ import annotations

import math
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from phashopt.bench.confirm import FAIR, Entrant, Race, candidates, welch_interval
from phashopt.networks import Network, build
from phashopt.plans import Blueprint
from phashopt.service.images import load_data
from phashopt.service.spec import parse_spec
from phashopt.service.summary import StudySummary, TrialSummary
from phashopt.trace import Trace
from phashopt.training.loop import Diverged, Trainer
from phashopt.training.run import Origin

samples = st.lists(st.integers(0, 1000).map(lambda number: number / 1000), min_size=2, max_size=8)


@given(samples, samples)
def test_the_interval_is_scipys(ours: list[float], theirs: list[float]) -> None:
    low, high = welch_interval(ours, theirs)
    gain = sum(ours) / len(ours) - sum(theirs) / len(theirs)
    assert low <= gain + 1e-9
    assert high >= gain - 1e-9
    if min(len(set(ours)), len(set(theirs))) > 1:
        expected = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.9)
        assert (low, high) == pytest.approx(tuple(expected), rel=1e-6, abs=1e-9)


def test_one_seed_says_nothing() -> None:
    assert welch_interval([0.9], [0.1, 0.2]) == (-math.inf, math.inf)


def test_the_race_drops_who_is_beaten_on_validation_images_and_the_baseline_never(
    tiny_spec: str, tmp_path: Path
) -> None:
    spec = parse_spec(tomllib.loads(tiny_spec.replace("limit = 300", "limit = 600")), "tiny.toml")
    data = load_data(spec, tmp_path, torch.device("cpu"))
    numbers = {"width_00": 8, "width_01": 8, "epochs": 8, "learning_rate": 0.1}
    paralysed = {**numbers, "learning_rate": 1e-9, "epochs": 1}
    trials = [_trial(number, params) for number, params in enumerate([paralysed, paralysed, numbers])]
    race = Race(spec, data, trials, "held_out")
    turns = [entrant.trial.number for entrant in race.run(FAIR + 1)]
    assert turns == [0, 1, 2] * FAIR + [0, 2]
    assert race.chosen.trial.number == 2


def test_seeds_that_chose_do_not_judge_where_there_was_a_choice(tiny_spec: str, tmp_path: Path) -> None:
    spec = parse_spec(tomllib.loads(tiny_spec), "tiny.toml")
    data = load_data(spec, tmp_path, torch.device("cpu"))
    trials = [_trial(n, {"width_00": 4, "width_01": 4, "epochs": 1, "learning_rate": 0.1}) for n in range(3)]
    race = Race(spec, data, trials, "test")
    list(race.run(2))
    chosen, before = race.chosen, [list(entrant.validation) for entrant in race.entrants]
    judged = list(chosen.judged)
    assert list(race.judge(3)) == [race.baseline, chosen] * 3
    assert [entrant.validation for entrant in race.entrants] == before
    assert [len(entrant.judged) for entrant in (race.baseline, chosen)] == [3, 3]
    assert not set(judged) <= set(chosen.judged)
    assert not list(Race(spec, data, trials[:2], "test").judge(3))


def test_what_diverges_is_as_good_as_guessing(tiny_spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(_: object) -> float:
        raise Diverged(1, 0.1)

    spec = parse_spec(tomllib.loads(tiny_spec), "tiny.toml")
    trial = _trial(0, {"width_00": 4, "width_01": 4, "epochs": 1, "learning_rate": 0.1})
    race = Race(spec, load_data(spec, tmp_path, torch.device("cpu")), [trial], "test")
    monkeypatch.setattr(Trainer, "train_epoch", diverge)
    assert [(entrant.validation, entrant.judged) for entrant in race.run(1)] == [([0.1], [0.1])]


def test_the_judging_images_have_no_say_in_the_choice(tiny_spec: str, tmp_path: Path) -> None:
    spec = parse_spec(tomllib.loads(tiny_spec), "tiny.toml")
    race = Race(spec, load_data(spec, tmp_path, torch.device("cpu")), [_trial(n, {}) for n in range(3)], "test")
    for entrant, validation, judged in zip(race.entrants, (0.7, 0.9, 0.8), (0.5, 0.1, 0.9), strict=True):
        entrant.validation, entrant.judged = [validation] * FAIR, [judged] * FAIR
    assert race.chosen.trial.number == 1


@pytest.mark.parametrize(("seeds", "beaten"), [(FAIR - 1, False), (FAIR, True)])
def test_nobody_leaves_before_it_had_its_seeds(seeds: int, beaten: bool) -> None:
    scores = [0.1, 0.11, 0.12, 0.13]
    weak = Entrant(_trial(1, {}), {}, 1, validation=scores[:seeds])
    assert weak.beaten_by(Entrant(_trial(2, {}), {}, 1, validation=[score + 0.5 for score in scores[:seeds]])) is beaten


def test_a_child_runs_from_its_parents_kernels_and_from_scratch_for_as_long_as_all_of_its_line(
    tiny_spec: str, tmp_path: Path
) -> None:
    spec = parse_spec(tomllib.loads(tiny_spec), "tiny.toml")
    data = load_data(spec, tmp_path, torch.device("cpu"))
    params = {"width_00": 8, "width_01": 6, "epochs": 2, "learning_rate": 0.05}
    child = replace(_trial(1, params), attrs={"kernels": "8-6", "macs": 1, "params": 1}, epochs_inherited=8)
    made: list[int] = []

    def network(seed: int) -> Network:
        made.append(seed)
        return build(spec.blueprint([8, 6], data.shape, len(data.classes)), seed)

    founder = _trial(7, {**params, "width_00": 4, "learning_rate": 0.1})
    origins = {1: Origin(network, macs=1, images=1024)}
    race = Race(spec, data, [_trial(0, params), child], "test", origins, founders={1: founder})
    assert [(entrant.trial.number, entrant.epochs) for entrant in race.run(2)] == [(0, 2), (1, 10), (1, 2)] * 2
    assert len(set(made)) == 2
    assert [entrant.to_json(race.baseline)["start"] for entrant in race.challengers] == ["scratch", "inherited"]
    told = [entrant.to_json(race.baseline)["params"] for entrant in race.challengers]
    assert [(each["width_00"], each["learning_rate"]) for each in told] == [(8, 0.1), (8, 0.05)]


def test_listed_widths_are_trained_as_they_are(tiny_spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A study stores them as indices; what is told of a trial are kernel counts."""
    listed = tiny_spec.replace("widths = { low = 2, high = 8, step = 2 }", "widths = { values = [2, 4, 6, 8] }")
    spec = parse_spec(tomllib.loads(listed), "tiny.toml")
    assert spec.grids["width_00"].grid
    trained: list[tuple[int, ...]] = []

    def note(blueprint: Blueprint, seed: int) -> Network:
        trained.append(blueprint.widths)
        return build(blueprint, seed)

    monkeypatch.setattr("phashopt.bench.confirm.build", note)
    numbers = {"epochs": 1, "learning_rate": 0.1}
    trials = [
        _trial(0, {"width_00": 2, "width_01": 2, **numbers}),
        _trial(1, {"width_00": 8, "width_01": 6, **numbers}),
    ]
    list(Race(spec, load_data(spec, tmp_path, torch.device("cpu")), trials, "test").run(1))
    assert trained == [(2, 2), (8, 6)]


def test_a_line_begins_with_the_trial_from_scratch() -> None:
    trials = [replace(_trial(number, {}), parent=parent) for number, parent in enumerate((-1, 0, -1, 1))]
    summary = StudySummary("s", {}, None, None, [], trials)
    assert [summary.founder(trial).number for trial in trials] == [0, 0, 2, 0]


def test_what_no_worker_of_this_study_trained_is_not_confirmed() -> None:
    told = [{"macs": 1}, {"macs": 1}, {"macs": 1, "adopted": "elsewhere"}, {}]
    trials = [
        replace(_trial(number, {"epochs": 2}), value=0.5 + number / 10, attrs=attrs)
        for number, attrs in enumerate(told)
    ]
    summary = StudySummary("s", {}, trials[1], trials[0], [], trials)
    assert [trial.number for trial in candidates(summary, 3)] == [0, 1]


def _trial(number: int, params: dict[str, float]) -> TrialSummary:
    epochs = int(params.get("epochs", 0))
    return TrialSummary(number, "COMPLETE", None, True, params, {}, "", -1, epochs, None, Trace())
