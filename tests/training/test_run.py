from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from phashopt.plans import Blueprint
from phashopt.search import Verdict
from phashopt.signal import Probe, Report
from phashopt.trace import Trace
from phashopt.training import run as module
from phashopt.training.data import DataSet
from phashopt.training.files import CHECKPOINT, STABLE
from phashopt.training.film import FILM, Film
from phashopt.training.loop import Diverged, Interrupted
from phashopt.training.recipe import Recipe
from phashopt.training.run import Outcome, Run

READ = Run._read


class Room:
    """All a run needs but its folder and its judge."""

    def __init__(self, plan: Blueprint, recipe: Recipe, digits: DataSet, probe: Probe) -> None:
        self.recipe = recipe
        self._rest = plan, digits, probe

    def run(self, folder: Path, recipe: Recipe | None = None, **hooks: object) -> Run:
        plan, digits, probe = self._rest
        return Run(plan, recipe or self.recipe, digits, probe, folder=folder, seed=5, **hooks)


@pytest.fixture
def room(plan: Blueprint, recipe: Recipe, digits: DataSet, probe: Probe, monkeypatch: pytest.MonkeyPatch) -> Room:
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", 0.0)
    return Room(plan, recipe, digits, probe)


def state(run: Run) -> dict[str, torch.Tensor]:
    return run.trainer.network.state_dict()


def _killed(run: Run, *, full: bool) -> Report:
    if full:
        raise Interrupted
    return READ(run, full=full)


def interrupted_after(epochs: int, run_of: Room, folder: Path) -> None:
    done: list[Trace] = []

    def judge(trace: Trace) -> Verdict:
        done.append(trace)
        return Verdict.CONTINUE

    with pytest.raises(Interrupted):
        run_of.run(folder, judge=judge, interrupted=lambda: len(done) >= epochs).train()


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_a_resumed_training_ends_bit_identical(room: Room, tmp_path: Path, epochs: int) -> None:
    whole = room.run(tmp_path / "whole")
    expected = whole.train()
    interrupted_after(epochs, room, tmp_path / "parts")
    rest = room.run(tmp_path / "parts")
    rest.resume()
    assert rest.trainer.epoch == epochs
    outcome = rest.train()
    assert all(torch.equal(state(whole)[name], tensor) for name, tensor in state(rest).items())
    assert outcome.trace.to_json(digits=None) == expected.trace.to_json(digits=None)
    assert (outcome.accuracy, outcome.train_macs) == (expected.accuracy, expected.train_macs)


def test_what_is_taken_up_after_its_last_epoch_tells_the_same(room: Room, tmp_path: Path) -> None:
    """As where a worker dies while it draws the pictures."""
    expected = room.run(tmp_path).train()
    again = room.run(tmp_path)
    again.resume()
    outcome = again.train()
    assert (outcome.accuracy, outcome.train_macs) == (expected.accuracy, expected.train_macs)


def test_a_training_that_was_stopped_stays_stopped_whoever_takes_it_up_again(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Run, "_read", _killed)  # the full reading of a network that was stopped before its end
        with pytest.raises(Interrupted):
            room.run(tmp_path, judge=lambda trace: Verdict.STOP if len(trace.epochs) == 2 else Verdict.CONTINUE).train()
    rest = room.run(tmp_path)
    rest.resume()
    outcome = rest.train()
    assert (outcome.epochs_used, outcome.stopped) == (2, True)


def test_a_finished_training_goes_on_from_its_stable_phase_as_if_meant_longer(room: Room, tmp_path: Path) -> None:
    longer = room.recipe.model_copy(update={"epochs": 7})
    scheduled = room.run(tmp_path / "scheduled", longer)
    scheduled.train()
    short = room.run(tmp_path / "short").train()
    extended = room.run(tmp_path / "extended", longer, extends=tmp_path / "short" / STABLE)
    extended.resume()
    assert extended.trainer.epoch == short.stable_epochs == 3
    extended.train()
    assert all(torch.equal(state(scheduled)[name], tensor) for name, tensor in state(extended).items())


def test_an_extension_pays_for_the_added_epochs_only(room: Room, tmp_path: Path) -> None:
    longer = room.recipe.model_copy(update={"epochs": 7})
    whole, short = room.run(tmp_path / "whole", longer).train(), room.run(tmp_path / "short").train()
    extended = room.run(tmp_path / "extended", longer, extends=tmp_path / "short" / STABLE)
    extended.resume()
    outcome = extended.train()
    plan, _, probe = room._rest
    shared = 3 * plan.cost.macs * short.images_seen // short.epochs_used * 3
    readings = sum(bool(row.readings) for row in whole.trace.epochs[:3]) * plan.reading_macs(len(probe))
    assert outcome.images_seen == whole.images_seen
    assert outcome.train_macs == whole.train_macs - shared - readings


def test_what_goes_on_from_where_it_decays_itself_can_be_gone_on_with(room: Room, tmp_path: Path) -> None:
    room.run(tmp_path / "short").train()
    again = room.run(tmp_path / "again", extends=tmp_path / "short" / STABLE)
    again.resume()
    assert again.train().stable_epochs == again.trainer.schedule.decay_start == 3
    assert (tmp_path / "again" / STABLE).exists()


def test_a_training_whose_parent_is_gone_starts_afresh(room: Room, tmp_path: Path) -> None:
    alone = room.run(tmp_path / "alone", extends=tmp_path / "gone" / STABLE)
    alone.resume()
    assert alone.trainer.epoch == 0


def test_readings_leave_the_weights_untouched(room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = room.run(tmp_path / "read")
    read.train()
    unread = room.run(tmp_path / "unread")
    monkeypatch.setattr(unread, "_reading_is_due", lambda: False)
    unread.train()
    assert all(torch.equal(state(read)[name], tensor) for name, tensor in state(unread).items())


def test_small_sets_are_read_at_powers_of_two_and_the_end(room: Room, tmp_path: Path) -> None:
    outcome = room.run(tmp_path, room.recipe.model_copy(update={"epochs": 7})).train()
    assert [row.number for row in outcome.trace.epochs if row.readings] == [1, 2, 4, 7]


@pytest.mark.parametrize("every", [7, 1000])
def test_where_readings_are_no_closer_than_it_is_long_only_the_end_is_read(
    room: Room, tmp_path: Path, every: int
) -> None:
    outcome = room.run(tmp_path, room.recipe.model_copy(update={"epochs": 7}), every=every).train()
    assert [row.number for row in outcome.trace.epochs if row.readings] == [7]


def test_finish_decays_from_here(room: Room, tmp_path: Path) -> None:
    longer = room.recipe.model_copy(update={"epochs": 20})
    outcome = room.run(tmp_path, longer, judge=lambda _: Verdict.FINISH).train()
    assert outcome.epochs_used == 2
    assert not outcome.stopped
    assert outcome.trace.epochs[-1].learning_rate < 0.2 * longer.learning_rate


def test_an_extended_training_equals_one_that_was_meant_longer(room: Room, tmp_path: Path) -> None:
    longer = room.recipe.model_copy(update={"epochs": 6})
    scheduled = room.run(tmp_path / "scheduled", longer)
    expected = scheduled.train()
    extended = room.run(tmp_path / "extended", judge=lambda _: Verdict.EXTEND, longest=6)
    outcome = extended.train()
    assert all(torch.equal(state(scheduled)[name], tensor) for name, tensor in state(extended).items())
    assert (outcome.epochs_used, outcome.train_macs) == (expected.epochs_used, expected.train_macs)


def unlucky_at(epoch: int, seen: list[float]) -> Callable[[Trace], Verdict]:
    """Says so whenever `epoch` comes; notes the losses of all that it sees."""

    def judge(trace: Trace) -> Verdict:
        seen.append(trace.epochs[-1].loss)
        return Verdict.RESTART if trace.epochs[-1].number == epoch else Verdict.CONTINUE

    return judge


def test_a_restart_is_another_seeds_training_and_pays_for_both(room: Room, tmp_path: Path) -> None:
    plain = room.run(tmp_path / "plain").train()
    losses: list[float] = []
    run = room.run(tmp_path / "restarted", judge=unlucky_at(2, losses))
    outcome = run.train()
    assert losses[:2] == [row.loss for row in plain.trace.epochs[:2]]
    assert losses[2:] == [row.loss for row in outcome.trace.epochs]
    assert losses[2] != losses[0]
    assert (outcome.epochs_used, outcome.clock.restarts) == (4, 1)
    assert outcome.images_seen == plain.images_seen * 3 // 2
    plan, _, probe = room._rest
    wasted = 3 * plan.cost.macs * plain.images_seen // 2 + 2 * plan.reading_macs(len(probe))
    assert outcome.train_macs == plain.train_macs + wasted


@pytest.mark.parametrize("epochs", [2, 3, 4])
def test_a_training_resumed_across_a_restart_ends_bit_identical(room: Room, tmp_path: Path, epochs: int) -> None:
    whole = room.run(tmp_path / "whole", judge=unlucky_at(2, []))
    expected = whole.train()
    seen: list[float] = []
    with pytest.raises(Interrupted):
        room.run(tmp_path / "parts", judge=unlucky_at(2, seen), interrupted=lambda: len(seen) >= epochs).train()
    rest = room.run(tmp_path / "parts", judge=unlucky_at(2, []))
    rest.resume()
    assert rest.trainer.epoch == epochs - 2
    outcome = rest.train()
    assert all(torch.equal(state(whole)[name], tensor) for name, tensor in state(rest).items())
    assert outcome.trace.to_json() == expected.trace.to_json()
    assert (outcome.accuracy, outcome.train_macs) == (expected.accuracy, expected.train_macs)
    assert (tmp_path / "parts" / FILM).read_bytes() == (tmp_path / "whole" / FILM).read_bytes()


def test_a_network_that_overflows_on_its_way_back_to_pixels_has_diverged_and_pays_for_no_reading(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = room.run(tmp_path)
    train_epoch = run.trainer.train_epoch

    def swell(*args: Callable[[], bool]) -> float:
        loss = train_epoch(*args)
        with torch.no_grad():
            for parameter in run.trainer.network.parameters():
                parameter.mul_({4: 1e16, 2: 0.0}.get(parameter.ndim, 1.0))
        return loss

    monkeypatch.setattr(run.trainer, "train_epoch", swell)
    with pytest.raises(Diverged, match="a reconstruction became NaN or infinite in epoch 1 "):
        run.train()
    assert [(row.number, math.isnan(row.loss)) for row in run.trace.epochs] == [(1, True)]
    assert run.train_macs == 3 * run.blueprint.cost.macs * run.trainer.images_seen


def test_stop_ends_at_once_and_says_so(room: Room, tmp_path: Path) -> None:
    outcome = room.run(tmp_path, judge=lambda _: Verdict.STOP).train()
    assert (outcome.epochs_used, outcome.stopped) == (1, True)
    assert outcome.report["layer0.conv"].channels == 4


def test_after_the_last_epoch_nobody_can_stop_it(room: Room, tmp_path: Path) -> None:
    last = room.recipe.epochs
    outcome = room.run(
        tmp_path, judge=lambda trace: Verdict.STOP if len(trace.epochs) == last else Verdict.CONTINUE
    ).train()
    assert (outcome.epochs_used, outcome.stopped) == (last, False)


def test_a_training_from_scratch_keeps_no_frame_of_another(room: Room, tmp_path: Path, plan: Blueprint) -> None:
    Film(np.zeros((1, 8, 8), np.uint8), [0, 1, 2], {}).save(tmp_path)
    run = room.run(tmp_path)
    run.resume()
    run.train()
    film = Film.load(tmp_path)
    assert film.epochs[0] == 0
    assert all(len(strip.maps) == len(film.epochs) for strip in film.strips.values())


def test_compute_is_three_passes_an_image_and_the_readings(room: Room, tmp_path: Path) -> None:
    outcome: Outcome = room.run(tmp_path).train()
    plan, _, probe = room._rest
    readings = [row for row in outcome.trace.epochs if row.readings]
    reading = plan.reading_macs(len(probe))
    assert outcome.train_macs == 3 * plan.cost.macs * outcome.images_seen + len(readings) * reading


def test_a_stopped_training_pays_for_its_full_reading_too(room: Room, tmp_path: Path) -> None:
    outcome = room.run(tmp_path, judge=lambda _: Verdict.STOP).train()
    plan, _, probe = room._rest
    assert len(outcome.trace.last_readings) == 2
    assert outcome.train_macs == 3 * plan.cost.macs * outcome.images_seen + 2 * plan.reading_macs(len(probe))


def test_only_an_unfinished_training_keeps_its_checkpoint(room: Room, tmp_path: Path) -> None:
    run = room.run(tmp_path)
    run.train()
    assert (tmp_path / CHECKPOINT).exists()
    run.discard_checkpoint()
    assert not (tmp_path / CHECKPOINT).exists()
    assert (tmp_path / STABLE).exists()
