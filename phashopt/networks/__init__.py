"""Networks whose every layer's kernel count is a parameter, with their cost known before they are built."""

from phashopt.networks.blueprint import Blueprint, Cost, ImageShape
from phashopt.networks.build import Network, build
from phashopt.networks.families import FAMILIES, Family, Plain, ResNet, Vgg, width_name
from phashopt.networks.inherit import grow, inherit, inherit_macs, shrink

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
