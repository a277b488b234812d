"""What to try next and what to stop: an Optuna sampler and pruner that read how redundant the layers are."""

from phashopt.search.history import (
    ADOPTED_KEY,
    LONGER_KEY,
    ORPHANED_KEY,
    PLANNED_KEY,
    STABLE_KEY,
    USED_KEY,
    is_feasible,
    lengthened,
)
from phashopt.search.predict import Prediction, best_under, predictions_of, ranked
from phashopt.search.pruner import PHashPruner, Verdict
from phashopt.search.sampler import DECISION_KEY, PHashSampler
from phashopt.search.start import NO_PARENT, PARENT_KEY, START_KEY, Start

__all__ = [
    "ADOPTED_KEY",
    "DECISION_KEY",
    "LONGER_KEY",
    "NO_PARENT",
    "ORPHANED_KEY",
    "PARENT_KEY",
    "PLANNED_KEY",
    "STABLE_KEY",
    "START_KEY",
    "USED_KEY",
    "PHashPruner",
    "PHashSampler",
    "Prediction",
    "Start",
    "Verdict",
    "best_under",
    "is_feasible",
    "lengthened",
    "predictions_of",
    "ranked",
]
