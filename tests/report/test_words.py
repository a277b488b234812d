from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import optuna
import pytest
from optuna.trial import TrialState

from phashopt.figures.belief import Belief, Curve
from phashopt.report.words import answer, believed, caps, counts, kernels
from phashopt.search import ADOPTED_KEY
from phashopt.service.summary import StudySummary, summarize

Write = Callable[..., optuna.Study]


def test_the_answer_leads_from_baseline_to_best_under_the_cap(write_study: Write) -> None:
    summary = summarize(write_study(12, cap=1_000_000))
    baseline, best = summary.baseline, summary.best
    assert baseline is not None
    assert best is not None
    assert answer(summary) == (
        f"From the baseline ({kernels(baseline)} kernels, over the cap) "
        f"to trial {best.number} ({kernels(best)} kernels): "
        "validation accuracy 90.0% → 91.0%, MACs 1.51 M → 936 k, parameters 7.56 k → 4.68 k, "
        "under a cap of 1.00 M MACs."
    )


def test_the_answer_tells_the_latency_where_both_are_known(summary: StudySummary) -> None:
    assert "latency 1.25 → 0.5 ms an image" in answer(summary, {"baseline": 1.25, "best": 0.5})
    assert "latency" not in answer(summary, {"baseline": math.nan, "best": 0.5})


@pytest.mark.parametrize(
    ("settings", "beginning"),
    [
        ({"trials": 0}, "This study holds no trial yet."),
        (
            {"trials": 3, "state": lambda _: TrialState.FAIL},
            "No trial has finished with an accuracy yet (3 trials: 3 failed",
        ),
        ({"trials": 2, "state": lambda _: TrialState.RUNNING}, "No trial has finished with an accuracy yet"),
        ({"trials": 4, "cap": 0}, "No finished trial keeps within the caps of 1.00 M MACs; the most accurate one"),
        ({"trials": 1, "cap": 1e9}, "No trial beat the baseline: it (trial 0, 36-48 kernels) reached 90.0%"),
        ({"trials": 3, "cap": 1e9, "baseline": None}, "The best (trial 2,"),
        (
            {"trials": 3, "cap": 1e9, "state": lambda n: TrialState.COMPLETE if n else TrialState.FAIL},
            "The best (trial 2,",
        ),
    ],
)
def test_a_missing_answer_is_said_plainly(write_study: Write, settings: dict[str, object], beginning: str) -> None:
    assert answer(summarize(write_study(**settings))).startswith(beginning)


def test_deep_networks_are_summed_up(write_study: Write) -> None:
    summary = summarize(write_study(2, layers=13, cap=1e9))
    assert "kernels in 13 layers" in answer(summary)


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({}, ""),
        ({"macs": None}, ""),
        ({"macs": 1e6}, "1.00 M MACs"),
        ({"macs": 2_500, "params": 900}, "2.50 k MACs and 900 parameters"),
    ],
)
def test_caps(summary: StudySummary, limits: dict[str, float], text: str) -> None:
    assert caps(replace(summary, spec={"limits": limits})) == text


def test_counts_name_every_state_once(write_study: Write) -> None:
    states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING, TrialState.COMPLETE]
    summary = summarize(write_study(5, state=lambda number: states[number]))
    assert counts(summary) == "5 trials: 2 complete, 1 stopped early, 1 failed, 1 running"
    first, *rest = summary.trials
    adopted = replace(summary, trials=[replace(first, attrs={ADOPTED_KEY: "another"}), *rest])
    assert counts(adopted) == "5 trials, 1 of them adopted: 1 complete, 1 stopped early, 1 failed, 1 running"


@pytest.mark.parametrize(
    ("names", "signal", "told"),
    [
        (["width_00"], {}, "from 8 to 64 kernels, errors go from 150% to 90% of those of trial 3."),
        (
            ["width_00", "width_01"],
            {4: 0.5, 5: 0.44},
            "; least on Layer 2 (width_01): from 8 to 16 kernels",
        ),
        (["width_00", "width_01"], {4: 0.5, 5: 0.44}, "The latest decision gives the signal a weight of 0.44."),
    ],
)
def test_beliefs_in_words(names: list[str], signal: dict[int, float], told: str) -> None:
    curves = [Curve([8, 64], [1.4, 0.8], [1.5, 0.9], [1.6, 1.0]), Curve([8, 16], [0.9, 0.9], [1.0, 1.0], [1.1, 1.1])]
    words = believed(Belief(3, dict(zip(names, curves, strict=False)), signal))
    assert words.startswith("Most is believed to hang on Layer 1")
    assert told in words
