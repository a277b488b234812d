"""What a study's own model makes of its trials and of networks that nobody has trained."""

from __future__ import annotations

from collections.abc import Mapping

from optuna import Study

from phashopt.errors import UserError
from phashopt.search import PHashSampler, Prediction, best_under, ranked
from phashopt.search.model import Model
from phashopt.service.searching import limits, make_sampler
from phashopt.service.spec import Spec
from phashopt.service.study import read_subject


def believed_order(study: Study, spec: Spec) -> list[int] | None:
    """The numbers of the finished feasible trials, the most promising first; None if the study has no model."""
    try:
        return [record.number for record, _ in ranked(_model(study, spec))]
    except UserError:
        return None


def predicted_best(study: Study, spec: Spec, caps: Mapping[str, float]) -> Prediction:
    """The best network under `caps`, which take the place of the spec's; raises `UserError` where there is no model."""
    subject = read_subject(study)
    model = _model(study, spec)
    limited = spec.model_copy(update={"limits": spec.limits.model_copy(update=dict(caps))})
    return best_under(model, limits(limited, subject.image, len(subject.classes)))


def _model(study: Study, spec: Spec) -> Model:
    subject = read_subject(study)
    sampler = make_sampler(spec, subject.image, len(subject.classes))
    if not isinstance(sampler, PHashSampler):
        raise UserError(f"there is no model of a study whose sampler is {spec.search.sampler}")
    return sampler.model(study)
