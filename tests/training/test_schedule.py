from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phashopt.training.schedule import WARMUP_EPOCHS, Schedule

lengths = st.integers(1, 300)


@given(lengths)
def test_any_length_warms_up_and_ends_annealed(epochs: int) -> None:
    schedule = Schedule.of_length(epochs)
    assert schedule.factor(0) == 0
    assert schedule.factor(epochs) == 0
    assert schedule.factor(epochs - 1e-3) < 0.01
    assert 0 <= schedule.decay_start < epochs


@given(lengths, lengths, st.floats(0, 1))
def test_two_lengths_are_one_training_until_the_shorter_decays(left: int, right: int, share: float) -> None:
    short, long = Schedule.of_length(min(left, right)), Schedule.of_length(max(left, right))
    epoch = share * short.decay_start
    assert short.factor(epoch) == long.factor(epoch)


@given(st.integers(2, 300), st.data())
def test_finishing_early_is_a_training_that_was_meant_shorter(epochs: int, data: st.DataObject) -> None:
    schedule = Schedule.of_length(epochs)
    epoch = data.draw(st.integers(1, epochs))
    finished = schedule.finish_from(epoch)
    assert finished.epochs <= epochs
    if epoch < schedule.decay_start:
        assert finished.decay_start == epoch
        assert finished.factor(epoch) == schedule.factor(epoch)
    else:
        assert finished == schedule


@pytest.mark.parametrize("epoch", [0.0, 0.25, 0.5, 1.0, 6.9])
def test_the_rate_rises_linearly_then_stays(epoch: float) -> None:
    assert Schedule.of_length(10).factor(epoch) == pytest.approx(min(1, epoch / WARMUP_EPOCHS))


@given(st.integers(2, 200), st.integers(1, 300), st.data())
def test_a_training_is_lengthened_only_where_it_was_about_to_decay(
    epochs: int, longest: int, data: st.DataObject
) -> None:
    schedule = Schedule.of_length(epochs)
    epoch = data.draw(st.integers(1, epochs))
    longer = schedule.extended_from(epoch, longest)
    if epoch == schedule.decay_start and longest > epochs:
        assert epochs < longer.epochs <= longest
        assert longer == Schedule.of_length(longer.epochs)
        assert longer.decay_start >= epoch
    else:
        assert longer == schedule
