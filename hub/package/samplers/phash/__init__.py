"""OptunaHub's face of phashopt: its sampler and its pruner."""

from phashopt import PHashPruner, PHashSampler

__all__ = ["PHashPruner", "PHashSampler"]
