"""Networks as they are planned: every layer's kernel count a parameter, the cost known, nothing built yet."""

from phashopt.plans.blueprint import Blueprint, Cost, ImageShape
from phashopt.plans.families import FAMILIES, Family, Plain, ResNet, Vgg, width_name

__all__ = ["FAMILIES", "Blueprint", "Cost", "Family", "ImageShape", "Plain", "ResNet", "Vgg", "width_name"]
