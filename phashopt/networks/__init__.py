"""Networks whose every layer's kernel count is a parameter, with their cost known before they are built."""

from phashopt.networks.blueprint import Blueprint, Cost, ImageShape
from phashopt.networks.build import build
from phashopt.networks.families import FAMILIES, Family, Plain, ResNet, Vgg, width_name

__all__ = ["FAMILIES", "Blueprint", "Cost", "Family", "ImageShape", "Plain", "ResNet", "Vgg", "build", "width_name"]
