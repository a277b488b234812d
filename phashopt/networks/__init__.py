"""Networks built from their plans, and their children."""

from phashopt.networks.build import Network, build
from phashopt.networks.inherit import grow, inherit, inherit_macs, shrink
from phashopt.plans import FAMILIES, Blueprint, Cost, Family, ImageShape, Plain, ResNet, Vgg, width_name

__all__ = [
    "FAMILIES",
    "Blueprint",
    "Cost",
    "Family",
    "ImageShape",
    "Network",
    "Plain",
    "ResNet",
    "Vgg",
    "build",
    "grow",
    "inherit",
    "inherit_macs",
    "shrink",
    "width_name",
]
