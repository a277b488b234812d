"""Labelled images: found, split, and kept on the device as bytes."""

from phashopt.training.data.augment import cut, move
from phashopt.training.data.images import Images, Standardisation
from phashopt.training.data.sources import RawData, load_raw
from phashopt.training.data.split import DataSet, Splits, choose_probes, prepare, sample

__all__ = [
    "DataSet",
    "Images",
    "RawData",
    "Splits",
    "Standardisation",
    "choose_probes",
    "cut",
    "load_raw",
    "move",
    "prepare",
    "sample",
]
