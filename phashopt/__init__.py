"""How many kernels does each layer need, how long should I train, and why?

The public names are imported when first used, so that the signal needs no Optuna and the search no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phashopt import networks, plots
    from phashopt.attribution import grad_cam, gradient, guided_backprop, guided_grad_cam
    from phashopt.networks import grow, inherit, shrink
    from phashopt.search import PHashPruner, PHashSampler, Verdict
    from phashopt.signal import LayerReport, Probe, Report, baseline, measure, perceptual_hash, reconstruct

_HOMES = {
    "grad_cam": "attribution",
    "gradient": "attribution",
    "guided_backprop": "attribution",
    "guided_grad_cam": "attribution",
    "grow": "networks",
    "inherit": "networks",
    "shrink": "networks",
    "PHashPruner": "search",
    "PHashSampler": "search",
    "Verdict": "search",
    "LayerReport": "signal",
    "Probe": "signal",
    "Report": "signal",
    "baseline": "signal",
    "measure": "signal",
    "perceptual_hash": "signal",
    "reconstruct": "signal",
}
_ROOMS = ("networks", "plots")

__all__ = [
    "LayerReport",
    "PHashPruner",
    "PHashSampler",
    "Probe",
    "Report",
    "Verdict",
    "baseline",
    "grad_cam",
    "gradient",
    "grow",
    "guided_backprop",
    "guided_grad_cam",
    "inherit",
    "measure",
    "networks",
    "perceptual_hash",
    "plots",
    "reconstruct",
    "shrink",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"phashopt.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'phashopt' has no attribute {name!r}")
    return getattr(import_module(f"phashopt.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
