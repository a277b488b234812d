from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import RandomSampler
from optuna.trial import create_trial

from phashopt.errors import UserError
from phashopt.search import PHashPruner, Verdict
from phashopt.trace import Reading, Trace, write_trace

GOOD = [0.5, 0.7, 0.8, 0.85, 0.87, 0.88]
BAD = [0.1, 0.15, 0.2, 0.25, 0.25, 0.25]
LENGTH: dict[str, BaseDistribution] = {"epochs": IntDistribution(1, 12)}
MakeTrace = Callable[..., Trace]


def _study(traces: Iterable[Trace], epochs: int = 6) -> optuna.Study:
    study = optuna.create_study(direction="maximize", sampler=RandomSampler(seed=0))
    for trace in traces:
        attrs = {"trace": trace.to_json()}
        study.add_trial(create_trial(value=0.9, params={"epochs": epochs}, distributions=LENGTH, system_attrs=attrs))
    return study


def _verdict(study: optuna.Study, trace: Trace, epochs: int = 6) -> Verdict:
    study.enqueue_trial({"epochs": epochs})
    trial = study.ask(LENGTH)
    write_trace(trial, trace)
    pruner = PHashPruner()
    verdict = pruner.verdict(study, study.trials[-1])
    assert pruner.prune(study, study.trials[-1]) == (verdict in (Verdict.STOP, Verdict.FINISH))
    return verdict


@pytest.fixture
def peers(make_trace: MakeTrace) -> list[Trace]:
    return [make_trace([value + 0.01 * shift for value in GOOD]) for shift in range(6)]


@pytest.mark.parametrize(
    ("accuracies", "verdict"),
    [
        (GOOD[:1], Verdict.CONTINUE),
        (BAD[:1], Verdict.CONTINUE),
        (BAD[:2], Verdict.STOP),
        ([0.2, 0.45], Verdict.CONTINUE),
        ([0.2, 0.3, 0.4, 0.45], Verdict.STOP),
        ([0.45, 0.66, 0.78, 0.83], Verdict.CONTINUE),
        ([0.1, 0.6, 0.8, 0.9], Verdict.EXTEND),
    ],
    ids=[
        "good",
        "too early",
        "at chance",
        "slow but young",
        "far behind",
        "a little behind",
        "a slow start that overtakes",
    ],
)
def test_a_trial_is_stopped_when_it_is_hopeless_and_not_before(
    accuracies: list[float], verdict: Verdict, peers: list[Trace], make_trace: MakeTrace
) -> None:
    assert _verdict(_study(peers), make_trace(accuracies)) == verdict


def test_no_peer_would_have_been_stopped_by_the_others(peers: list[Trace]) -> None:
    for trace in peers:
        study = _study(other for other in peers if other is not trace)
        assert all(
            _verdict(study, Trace(trace.epochs[:count])) in (Verdict.CONTINUE, Verdict.EXTEND)
            for count in range(1, len(trace.epochs) + 1)
        )


def test_nothing_is_stopped_for_being_slow_where_little_is_known(peers: list[Trace], make_trace: MakeTrace) -> None:
    assert _verdict(_study(peers[:4]), make_trace(BAD)) == Verdict.CONTINUE


def test_annealed_epochs_of_shorter_runs_are_no_measure(make_trace: MakeTrace) -> None:
    rates = [0.1, 0.1, 0.03, 0.01]
    short = [make_trace([0.2, 0.3, 0.9, 0.95 + 0.005 * shift], rates) for shift in range(6)]
    own = make_trace([0.2, 0.3, 0.4, 0.45])
    assert _verdict(_study(short, epochs=4), own, epochs=12) == Verdict.CONTINUE
    assert _verdict(_study(short, epochs=4), own, epochs=4) == Verdict.STOP


def test_stable_epochs_of_other_lengths_are_a_measure(peers: list[Trace], make_trace: MakeTrace) -> None:
    assert _verdict(_study(peers, epochs=6), make_trace([0.2, 0.3, 0.4, 0.45]), epochs=12) == Verdict.STOP


@pytest.mark.parametrize(("longer", "verdict"), [(None, Verdict.STOP), (40, Verdict.CONTINUE)])
def test_what_goes_on_beyond_the_range_is_no_annealed_training_of_the_longest_length(
    longer: int | None, verdict: Verdict, make_trace: MakeTrace
) -> None:
    rates = [0.1, 0.1, 0.03, 0.01]
    study = _study([make_trace([0.2, 0.3, 0.9, 0.95 + 0.005 * shift], rates) for shift in range(6)], epochs=4)
    study.enqueue_trial({"epochs": 4})
    trial = study.ask(LENGTH)
    study._storage.set_trial_system_attr(trial._trial_id, "longer", longer)
    write_trace(trial, make_trace([0.2, 0.3, 0.4, 0.45]))
    assert PHashPruner().verdict(study, study.trials[-1]) == verdict


@pytest.mark.parametrize(
    ("own", "verdict"),
    [
        ({}, Verdict.CONTINUE),
        ({"start": [6, 1.0, 0.0]}, Verdict.STOP),
        ({"start": [6, 0.0, 0.0]}, Verdict.CONTINUE),
    ],
    ids=["from scratch", "of another network", "of its own"],
)
def test_children_are_the_measure_of_children_alone(
    own: dict[str, object], verdict: Verdict, peers: list[Trace], make_trace: MakeTrace
) -> None:
    study = _study([])
    for trace in peers:
        attrs = {"trace": trace.to_json(), "start": [12, 0.0, 1.0]}
        study.add_trial(create_trial(value=0.9, params={"epochs": 6}, distributions=LENGTH, system_attrs=attrs))
    trial = study.ask(LENGTH)
    for key, value in own.items():
        study._storage.set_trial_system_attr(trial._trial_id, key, value)
    write_trace(trial, make_trace(BAD))
    assert PHashPruner().verdict(study, study.trials[-1]) == verdict


@pytest.mark.parametrize(("read", "verdict"), [(True, Verdict.STOP), (False, Verdict.CONTINUE)])
def test_where_readings_do_not_count_a_dead_layer_stops_nothing(
    read: bool, verdict: Verdict, make_trace: MakeTrace
) -> None:
    trace = make_trace([0.1], readings={"width_00": (0.0, 0.0, 1.0)})
    trace.epochs[0].loss = 2.3
    study = _study([])
    write_trace(study.ask(LENGTH), trace)
    assert PHashPruner(read=read).verdict(study, study.trials[-1]) == verdict


def test_lengths_may_be_suggested_as_indices(peers: list[Trace], make_trace: MakeTrace) -> None:
    grid, index = {"epochs": [2, 6, 12]}, {"epochs": IntDistribution(0, 2)}
    study = optuna.create_study(direction="maximize", sampler=RandomSampler(seed=0))
    for trace in peers:
        attrs = {"trace": trace.to_json()}
        study.add_trial(create_trial(value=0.9, params={"epochs": 1}, distributions=index, system_attrs=attrs))
    study.enqueue_trial({"epochs": 1})
    trial = study.ask(index)
    verdicts = []
    for count in (1, 4):
        write_trace(trial, make_trace([0.1, 0.6, 0.8, 0.9][:count]))
        verdicts.append(PHashPruner(grid=grid).verdict(study, study.trials[-1]))
    assert verdicts == [Verdict.CONTINUE, Verdict.EXTEND]


def test_a_child_that_stands_still_is_finished_however_little_it_knows(make_trace: MakeTrace) -> None:
    trace = make_trace([0.45] * 12)
    for row in trace.epochs:
        row.loss = 1.4  # of a hundred classes: it does not guess
    for number in (4, 8, 12):
        trace.epochs[number - 1].readings = {"width_00": Reading(0.3, 0.4, 0.0)}
    study = _study([])
    trial = study.ask(LENGTH)
    write_trace(trial, trace)
    assert PHashPruner().verdict(study, study.trials[-1]) == Verdict.STOP
    study._storage.set_trial_system_attr(trial._trial_id, "start", [6, 0.0, 0.0])
    assert PHashPruner().verdict(study, study.trials[-1]) == Verdict.FINISH


@pytest.mark.parametrize("loss", [math.nan, 9.0])
def test_an_exploded_loss_stops_at_once(loss: float, make_trace: MakeTrace) -> None:
    trace = make_trace([0.5, 0.4])
    trace.epochs[-1].loss = loss
    assert _verdict(_study([]), trace) == Verdict.STOP


def test_a_loss_that_is_recorded_now_and_then_is_no_explosion(make_trace: MakeTrace) -> None:
    trace = make_trace([0.5, 0.6, 0.7])
    trace.epochs[-1].loss = math.nan
    assert _verdict(_study([]), trace) == Verdict.CONTINUE


def test_an_accuracy_that_is_no_number_any_more_stops_where_no_loss_is_known(make_trace: MakeTrace) -> None:
    trace = make_trace([0.5, 0.6])
    for row, accuracy in zip(trace.epochs, (0.5, math.nan), strict=True):
        row.loss, row.accuracy = math.nan, accuracy
    assert _verdict(_study([]), trace) == Verdict.STOP


def test_a_plateau_of_accuracy_and_reading_is_finished_early(make_trace: MakeTrace) -> None:
    trace = make_trace([0.5, 0.7, 0.8, 0.85] + [0.9] * 8)
    assert _verdict(_study([]), trace) == Verdict.CONTINUE
    for number in (4, 8, 12):
        trace.epochs[number - 1].readings = {"width_00": Reading(0.3, 0.4, 0.0)}
    assert _verdict(_study([]), trace) == Verdict.FINISH


def test_a_flat_run_at_chance_is_stopped_where_a_good_one_is_finished(make_trace: MakeTrace) -> None:
    trace = make_trace([0.1] * 12)
    for number in (4, 8, 12):
        trace.epochs[number - 1].readings = {"width_00": Reading(0.3, 0.4, 0.0)}
    assert _verdict(_study([]), trace, epochs=12) == Verdict.STOP


@pytest.mark.parametrize(("epochs", "verdict"), [(6, Verdict.EXTEND), (12, Verdict.CONTINUE), (10, Verdict.CONTINUE)])
def test_a_starved_trial_is_extended_in_its_second_half_and_within_the_range(
    epochs: int, verdict: Verdict, peers: list[Trace], make_trace: MakeTrace
) -> None:
    assert _verdict(_study(peers), make_trace([0.1, 0.6, 0.8, 0.9]), epochs=epochs) == verdict


WIDTH: dict[str, BaseDistribution] = {"width_00": IntDistribution(4, 64)}


def _dead(make_trace: MakeTrace, dead: float, loss: float = 0.6) -> Trace:
    trace = make_trace([0.4], readings={"width_00": (0.1, 0.2, dead)})
    trace.epochs[0].loss = loss
    return trace


@pytest.mark.parametrize(("usual", "verdict"), [(0.1, Verdict.RESTART), (0.9, Verdict.STOP)])
def test_a_collapse_is_another_seeds_chance_only_where_it_was_bad_luck(
    usual: float, verdict: Verdict, make_trace: MakeTrace
) -> None:
    study = optuna.create_study(direction="maximize", sampler=RandomSampler(seed=0))
    for shift in range(10):
        attrs = {"trace": _dead(make_trace, usual + 0.01 * shift).to_json()}
        study.add_trial(
            create_trial(value=0.9, params={"width_00": 8 + shift}, distributions=WIDTH, system_attrs=attrs)
        )
    trial = study.ask(WIDTH)
    collapsed = make_trace([0.1], readings={"width_00": (0.1, 0.2, 1.0)})
    collapsed.epochs[0].loss = 2.3
    write_trace(trial, collapsed)
    assert PHashPruner().prune(study, study.trials[-1])
    assert PHashPruner().verdict(study, study.trials[-1]) == verdict


def test_an_unlucky_trial_starts_again_once_and_whoever_asks_twice_hears_the_same(make_trace: MakeTrace) -> None:
    study = optuna.create_study(direction="maximize", sampler=RandomSampler(seed=0))
    for shift in range(10):
        attrs = {"trace": _dead(make_trace, 0.01 * shift).to_json()}
        study.add_trial(
            create_trial(value=0.9, params={"width_00": 8 + shift}, distributions=WIDTH, system_attrs=attrs)
        )
    trial = study.ask(WIDTH)
    pruner = PHashPruner()
    write_trace(trial, _dead(make_trace, 0.8))
    assert PHashPruner(without=[Verdict.RESTART]).verdict(study, study.trials[-1]) == Verdict.CONTINUE
    assert not pruner.prune(study, study.trials[-1])
    assert [pruner.verdict(study, study.trials[-1]) for _ in range(2)] == [Verdict.RESTART] * 2
    write_trace(trial, _dead(make_trace, 0.9, loss=0.7))
    assert pruner.verdict(study, study.trials[-1]) == Verdict.CONTINUE


def test_a_length_may_have_a_name(make_trace: MakeTrace) -> None:
    study = optuna.create_study(direction="maximize", sampler=RandomSampler(seed=0))
    trial = study.ask({"epochs": CategoricalDistribution(["few", "many"])})
    write_trace(trial, make_trace(GOOD))
    assert PHashPruner().verdict(study, study.trials[-1]) == Verdict.CONTINUE


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_reported_values_do_where_no_trace_is(direction: str) -> None:
    study = optuna.create_study(direction=direction, sampler=RandomSampler(seed=0), pruner=PHashPruner())

    def objective(trial: optuna.Trial) -> float:
        curve = BAD if trial.number == 6 else [value + 0.01 * trial.number for value in GOOD]
        values = curve if direction == "maximize" else [1 - value for value in curve]
        for step, value in enumerate(values):
            trial.report(value, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return values[-1]

    study.optimize(objective, n_trials=7)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 6 + ["PRUNED"]
    assert study.trials[6].last_step == 1


def test_a_reported_nan_stops() -> None:
    study = optuna.create_study(direction="maximize", pruner=PHashPruner())
    trial = study.ask()
    trial.report(0.5, 0)
    assert not trial.should_prune()
    trial.report(math.nan, 1)
    assert trial.should_prune()


def test_a_trial_that_has_recorded_nothing_goes_on() -> None:
    study = optuna.create_study(direction="maximize", pruner=PHashPruner())
    assert not study.ask().should_prune()


@pytest.mark.parametrize("settings", [{"peers": 0}, {"warmup": -1}])
def test_counts_that_make_no_sense_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(UserError, match="write 1 or more"):
        PHashPruner(**settings)  # type: ignore[arg-type]
