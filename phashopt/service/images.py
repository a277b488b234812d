"""A study's images: loaded as its spec says, and the same as when it was made."""

from __future__ import annotations

from pathlib import Path

import torch
from optuna import Study

from phashopt.errors import UserError
from phashopt.service.spec import Spec
from phashopt.training.data import DataSet, choose_probes, load_raw, prepare


def load_data(spec: Spec, data_dir: Path, device: torch.device) -> DataSet:
    """The spec's images, split and on the device; raises `DataError`."""
    table = spec.data
    raw = load_raw(table.dataset, data_dir, size=table.size)
    return prepare(
        raw,
        validation=table.validation,
        held_out=table.held_out,
        limit=table.limit,
        seed=spec.study.seed,
        device=device,
    )


def check_data(study: Study, data: DataSet) -> None:
    """Refuse images that are not those the study was made with; raises `UserError`."""
    if data.hash != study.user_attrs["data_hash"]:
        raise UserError(
            f"the images here are not those of study {study.study_name!r} (hash {data.hash}, "
            f"not {study.user_attrs['data_hash']}); give the --data-dir it was made with"
        )


def probe_indices(spec: Spec, data: DataSet) -> torch.Tensor:
    """Which training images (N,) are the study's probes: class-balanced, the same for every trial."""
    return choose_probes(data.train, spec.signal.probes, spec.study.seed)
