from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from phashopt.bench import contenders
from phashopt.bench.retrain import Variant
from phashopt.plans import ImageShape
from phashopt.service.images import load_data
from phashopt.service.spec import Spec, parse_spec
from phashopt.service.summary import StudySummary, TrialSummary
from phashopt.trace import Trace

IMAGE = ImageShape(1, 8, 8)
SEARCHED = Variant((6, 4), {"epochs": 2, "learning_rate": 0.05, "weight_decay": 1e-3, "label_smoothing": 0.1})


@pytest.fixture
def spec(tiny_spec: str) -> Spec:
    return parse_spec(tomllib.loads(tiny_spec), "tiny.toml")


def macs(spec: Spec, widths: tuple[int, ...]) -> int:
    return spec.blueprint(widths, IMAGE, 10).cost.macs


def test_uniform_widths_cost_at_most_the_searched_macs_and_nothing_wider_does(spec: Spec) -> None:
    uniform = contenders.uniform_widths(spec, SEARCHED, IMAGE, 10)
    assert macs(spec, uniform.widths) <= macs(spec, SEARCHED.widths)
    wider = [tuple(w + 2 * (i == j) for j, w in enumerate(uniform.widths)) for i in range(2)]
    inside = [widths for widths in wider if max(widths) <= 8]
    assert all(macs(spec, widths) > macs(spec, SEARCHED.widths) for widths in inside)
    assert uniform.numbers == SEARCHED.numbers


def test_the_widest_net_is_the_end_of_every_range(spec: Spec) -> None:
    assert contenders.widest(spec, SEARCHED).widths == (8, 8)


def test_rates_are_a_factor_apart_within_the_range_and_hold_the_variants_own(spec: Spec) -> None:
    rates = [variant.numbers["learning_rate"] for variant in contenders.with_rates(spec, SEARCHED, 3)]
    assert rates == [0.025, 0.05, 0.1]
    assert len(contenders.with_rates(spec, SEARCHED.changed(learning_rate=0.1), 3)) == 2


def test_a_rate_that_is_the_variants_own_but_for_rounding_is_not_tried_again(spec: Spec) -> None:
    variant = Variant((4, 6), {"learning_rate": 0.02239839})
    rates = [each.numbers["learning_rate"] for each in contenders.other_rates(spec, variant, 3)]
    assert rates == [0.0112, 0.0448]


def test_each_rung_changes_one_thing(spec: Spec) -> None:
    bare, recipe, length = (
        rung(spec, SEARCHED) for rung in (contenders.bare, contenders.shortest, contenders.same_training)
    )
    assert bare.widths == recipe.widths == length.widths == spec.network.baseline
    assert {**bare.numbers, "weight_decay": 1e-3, "label_smoothing": 0.1} == recipe.numbers
    assert {**recipe.numbers, "epochs": 2} == length.numbers == SEARCHED.numbers


@pytest.mark.parametrize("epochs", ["{ choices = [4, 16, 8] }", "{ choices = [16, 8, 4] }", "{ low = 4, high = 16 }"])
def test_the_longest_and_the_shortest_training_are_so_in_whatever_order(tiny_spec: str, epochs: str) -> None:
    spec = parse_spec(tomllib.loads(tiny_spec.replace("{ low = 1, high = 2 }", epochs)), "tiny.toml")
    assert contenders.full_length(spec) == contenders.before(spec).numbers["epochs"] == 16
    assert contenders.shortest(spec, SEARCHED).numbers["epochs"] == 4


def test_a_child_is_compared_from_scratch_at_the_rate_that_its_line_began_with(spec: Spec) -> None:
    """Its own is one to go on with: from scratch it would learn nothing."""
    founder = _trial(0, 0.1, -1, 4)
    child = replace(_trial(1, 0.004, 0, 8), epochs_used=1, epochs_inherited=1)
    summary = StudySummary("s", {}, founder, child, [], [founder, child])
    (variant,) = contenders.best_of(spec, summary, [1], 1)
    assert variant.widths == (8, 8)
    assert (variant.numbers["learning_rate"], variant.numbers["epochs"]) == (0.1, 2)


def _trial(number: int, rate: float, parent: int, kernels: int) -> TrialSummary:
    params = {"width_00": kernels, "width_01": kernels, "epochs": 3, "learning_rate": rate}
    return TrialSummary(number, "COMPLETE", 0.5, True, params, {}, "", parent, 3, None, Trace())


@pytest.mark.parametrize(("compute", "most", "epochs"), [(100.0, 50, 12), (100.0, 5, 5), (0.0, 1, 2)])
def test_longer_spends_the_compute_up_to_a_bound_and_never_shortens(compute: float, most: int, epochs: int) -> None:
    variant, note = contenders.longer(SEARCHED, compute, per_epoch=10.0, most=most)
    assert variant.numbers["epochs"] == epochs
    assert note.startswith(f"{epochs} epochs")


def test_before_is_what_the_study_trains_first(spec: Spec, tmp_path: Path) -> None:
    before = contenders.before(spec)
    data = load_data(spec, tmp_path, torch.device("cpu"))
    assert spec.recipe(before.numbers, data.mirrored) == spec.recipe(spec.baseline, data.mirrored)
    assert before.widths == (4, 6)
