"""Labelled images: found, split, and kept on the device as bytes."""

from phashopt.training.data.augment import Augmentation
from phashopt.training.data.images import Images, Standardisation
from phashopt.training.data.sources import SOURCES, RawData, default_data_dir, load_raw
from phashopt.training.data.split import DataSet, Splits, choose_probes, prepare, sample

__all__ = [
    "SOURCES",
    "Augmentation",
    "DataSet",
    "Images",
    "RawData",
    "Splits",
    "Standardisation",
    "choose_probes",
    "default_data_dir",
    "load_raw",
    "prepare",
    "sample",
]
