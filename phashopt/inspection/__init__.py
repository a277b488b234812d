"""Anybody's trained network, seen through anybody's images: its reading, its pictures, what they suggest."""

from phashopt.inspection.gallery import Drawn, draw, worth_drawing
from phashopt.inspection.reading import Inspection, Layer, inspect_network
from phashopt.inspection.shrinking import Child, Shrinking
from phashopt.inspection.subject import Subject, load_subject

__all__ = [
    "Child",
    "Drawn",
    "Inspection",
    "Layer",
    "Shrinking",
    "Subject",
    "draw",
    "inspect_network",
    "load_subject",
    "worth_drawing",
]
