"""What a study's own model makes of its trials and of networks that nobody has trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from optuna import Study

from phashopt.errors import UserError
from phashopt.figures.belief import Belief, Curve
from phashopt.search import DECISION_KEY, PHashSampler, Prediction, best_under, ranked
from phashopt.search.basis import Array
from phashopt.search.model import Model
from phashopt.search.strategy import stated_weight
from phashopt.search.worth import layer_worth
from phashopt.service.searching import limits, make_sampler
from phashopt.service.spec import Spec
from phashopt.service.study import read_spec, read_subject
from phashopt.service.summary import TrialSummary, summarize

FEWEST = 3  # finished trials, below which a curve would show the prior


def believed_order(study: Study, spec: Spec) -> list[int] | None:
    """The numbers of the finished feasible trials, the most promising first; None if the study has no model."""
    try:
        return [record.number for record, _ in ranked(_model(study, spec))]
    except UserError:
        return None


def predicted_best(study: Study, spec: Spec, caps: Mapping[str, float]) -> Prediction:
    """The best network under `caps`, which take the place of the spec's, and what it should reach from scratch.

    Raises `UserError` if nothing was learnt.
    """
    subject = read_subject(study)
    model = _model(study, spec, children=False)
    require_lessons(study, model)
    if not model.finished:
        raise UserError(f"study {study.study_name!r} has no finished trial yet; let workers finish one")
    limited = spec.model_copy(update={"limits": spec.limits.model_copy(update=dict(caps))})
    return best_under(model, limits(limited, subject.image, len(subject.classes)))


def require_lessons(study: Study, model: Model) -> None:
    """Raise `UserError` if trainings have ended, and every one of them came to nothing."""
    if model.lost and not model.finished:
        raise UserError(
            f"no training of study {study.study_name!r} came to anything yet, they diverged or guess; let workers go "
            "on, or create another with other learning rates"
        )


def trained_best(study: Study, spec: Spec, caps: Mapping[str, float]) -> TrialSummary | None:
    """The finished trial with the highest accuracy under `caps`, which replace the spec's; None before there is one."""
    limits = {**spec.limits.caps, **caps}
    trials = [
        trial for trial in summarize(study).own if trial.state == "COMPLETE" and trial.attrs.keys() >= limits.keys()
    ]
    fitting = [trial for trial in trials if all(trial.attrs[name] <= cap for name, cap in limits.items())]
    return max(fitting, key=lambda trial: (trial.value or 0.0, -trial.number), default=None)


def belief_of(study: Study) -> Belief:
    """What the model believes of each layer's kernels, and what each decision said of the signal's weight.

    Raises `UserError`, which says why, where there is no model or it has not learnt from three trials yet.
    """
    own = study.sampler
    model = own.model(study) if isinstance(own, PHashSampler) else _model(study, read_spec(study))
    best = model.best
    if len(model.finished) < FEWEST or best is None:
        raise UserError(f"the model has learnt from {len(model.finished)} trials, too few to show")
    curves = {
        name: _curve(model.space.widths[name].values, nats) for name, nats in layer_worth(model, best.params).items()
    }
    decisions = {
        trial.number: stated_weight(trial.system_attrs.get(DECISION_KEY, ""))
        for trial in study.get_trials(deepcopy=False)
    }
    stated = {number: weight for number, weight in decisions.items() if weight is not None}
    return Belief(best.number, curves, stated)


def _curve(widths: Sequence[int], nats: Array) -> Curve:
    """Nats won, (3, n) from the lowest, as shares of the errors: more nats are fewer errors."""
    high, middle, low = np.exp(-nats).tolist()
    return Curve(list(widths), low, middle, high)


def _model(study: Study, spec: Spec, *, children: bool = True) -> Model:
    subject = read_subject(study)
    sampler = make_sampler(spec, subject.image, len(subject.classes))
    if not isinstance(sampler, PHashSampler):
        raise UserError(f"there is no model of a study whose sampler is {spec.search.sampler}")
    return sampler.model(study, children=children)
