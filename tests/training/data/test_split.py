from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from phashopt.errors import DataError
from phashopt.training.data import DataSet, Images, RawData, choose_probes, load_raw, prepare, sample
from phashopt.training.data.split import stratified

CPU = torch.device("cpu")


@given(st.lists(st.integers(0, 4), min_size=1, max_size=200), st.floats(0.05, 0.9), st.integers(0, 99))
def test_parts_are_disjoint_complete_and_true_to_every_class(labels: list[int], share: float, seed: int) -> None:
    array = np.array(labels)
    parts = stratified(array, [1 - share, share], seed)
    assert sorted(np.concatenate(parts)) == list(range(len(labels)))
    for label in set(labels):
        assert abs((array[parts[1]] == label).sum() - share * labels.count(label)) <= 0.5 + 1e-9


def test_a_split_is_its_seeds_own() -> None:
    labels = np.arange(100) % 5
    first, again, other = (stratified(labels, [0.5, 0.5], seed)[0].tolist() for seed in (1, 1, 2))
    assert first == again != other


def raw_digits() -> RawData:
    return load_raw("digits", Path())


def as_rows(pixels: torch.Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in pixels}


def test_no_image_is_in_two_splits() -> None:
    data = prepare(raw_digits(), validation=0.2, held_out=0.2, seed=0, device=CPU)
    assert data.held_out is not None
    sizes = [len(part) for part in (data.train, data.validation, data.held_out, data.test)]
    assert sum(sizes) == 1797
    labels = [part.labels.bincount(minlength=10).float() for part in (data.train, data.validation)]
    assert torch.allclose(labels[0] / sizes[0], labels[1] / sizes[1], atol=0.02)


def test_the_test_split_does_not_depend_on_the_studys_seed() -> None:
    first, other = (prepare(raw_digits(), validation=0.2, seed=seed, device=CPU) for seed in (0, 1))
    assert torch.equal(first.test.pixels, other.test.pixels)
    assert first.hash != other.hash


def test_a_limit_keeps_classes_balanced() -> None:
    data = prepare(raw_digits(), validation=0.25, limit=400, seed=0, device=CPU)
    assert len(data.train) + len(data.validation) == pytest.approx(400, abs=10)
    assert data.train.labels.bincount(minlength=10).min() >= 25


def test_a_limit_below_half_an_image_a_class_is_the_users_to_mend() -> None:
    with pytest.raises(DataError, match=r"3 images are none of each of 10 classes: raise data\.limit"):
        prepare(raw_digits(), validation=0.25, limit=3, seed=0, device=CPU)


def test_too_few_images_are_the_users_to_mend() -> None:
    tiny = RawData(np.zeros((2, 1, 8, 8), np.uint8), np.array([0, 1]), None, ("a", "b"), mirrored=True)
    with pytest.raises(DataError, match="too few to split"):
        prepare(tiny, validation=0.1, seed=0, device=CPU)


@pytest.fixture(scope="module")
def data() -> DataSet:
    return prepare(raw_digits(), validation=0.2, seed=0, device=CPU)


def test_standardised_training_images_have_mean_zero_and_variance_one(data: DataSet) -> None:
    images = data.train.standardise(data.train.pixels)
    assert images.mean().item() == pytest.approx(0, abs=1e-5)
    assert images.std().item() == pytest.approx(1, abs=1e-3)


def test_a_sample_stands_for_all_classes_from_its_first_images_on(data: DataSet) -> None:
    by_class = data.train.labels.argsort(stable=True)
    images = Images(data.train.pixels[by_class], data.train.labels[by_class], data.train.standardisation)
    pairs = zip(images.pixels.numpy(), images.labels.tolist(), strict=True)
    classes = {pixels.tobytes(): label for pixels, label in pairs}
    sampled = sample(images, 100)
    found = [classes[pixels.tobytes()] for pixels in sampled.numpy()]
    assert len(found) == 100
    assert len(set(found[:20])) >= 7
    assert torch.equal(sampled, sample(images, 100))


@pytest.mark.parametrize("count", [8, 10, 16, 25])
def test_probes_are_as_balanced_as_their_number_allows(data: DataSet, count: int) -> None:
    chosen = choose_probes(data.train, count, seed=3)
    counts = data.train.labels[chosen].bincount(minlength=10)
    assert len(set(chosen.tolist())) == count
    assert counts.max() - counts.min() <= 1
    assert torch.equal(chosen, choose_probes(data.train, count, seed=3))
