"""What to try next and what to stop: an Optuna sampler and pruner that read how redundant the layers are."""

from phashopt.search.history import is_feasible
from phashopt.search.pruner import PHashPruner, Verdict
from phashopt.search.sampler import PHashSampler

__all__ = ["PHashPruner", "PHashSampler", "Verdict", "is_feasible"]
