from __future__ import annotations

import numpy as np

from phashopt.figures.strip import film_strip


def test_epochs_are_columns_and_kernels_rows() -> None:
    image = np.zeros((1, 4, 4), dtype=np.uint8)
    maps = {0: np.ones((3, 1, 4, 4), dtype=np.int8), 5: np.ones((3, 1, 4, 4), dtype=np.int8)}
    figure = film_strip("title", image, [0, 1, 2], maps, {5: np.ones((3, 1, 3, 3), dtype=np.int8)})
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert [text for text in texts if text.startswith("epoch")] == ["epoch 0", "epoch 1", "epoch 2"]
    assert [text for text in texts if "weights" in text] == ["kernel 5\nweights"]
    assert len(figure.axes[0].images) == 3 * 4
