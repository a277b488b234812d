from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from phashopt.errors import UserError
from phashopt.service.images import check_data, load_data
from phashopt.service.spec import Spec
from phashopt.service.study import open_study

SpecOf = Callable[..., Spec]


def test_other_images_are_refused(url: str, study: str, spec_of: SpecOf, tmp_path: Path) -> None:
    other = load_data(spec_of("data.limit=200"), tmp_path, torch.device("cpu"))
    with pytest.raises(UserError, match="not those of study 'tiny'"):
        check_data(open_study(url, study)[0], other)
