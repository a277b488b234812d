from __future__ import annotations

import gc

import numpy as np
import optuna
import pytest
import torch
from torch import Tensor, nn

from phashopt.errors import UserError
from phashopt.search.stopping import exploded
from phashopt.signal import Probe, content_hash, measure, perceptual_hash, reconstruct
from phashopt.trace import Reading, read_trace


def plain(*widths: int, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    first, second = widths
    return nn.Sequential(
        *(nn.Conv2d(1, first, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(first, second, 5, padding=2), nn.ReLU()),
    )


def probes(count: int = 16, colours: int = 1, side: int = 16) -> Tensor:
    """Smooth random images, as photographs are."""
    noise = torch.randn(count, colours, side // 2, side // 2, generator=torch.Generator().manual_seed(7))
    return nn.functional.interpolate(noise, side, mode="bicubic")


def with_copies(model: nn.Sequential, layer: int, share: float) -> tuple[nn.Sequential, list[int]]:
    """`model` with that share of a layer's filters replaced by near-copies of the kept ones; also those."""
    generator = torch.Generator().manual_seed(1)
    weight, bias = model[layer].weight, model[layer].bias
    kept = round(len(weight) * (1 - share))
    with torch.no_grad():
        for channel in range(kept, len(weight)):
            source = (channel - kept) % kept
            noise = torch.randn(weight[source].shape, generator=generator)
            weight[channel] = weight[source] + 0.005 * weight[source].std() * noise
            bias[channel] = bias[source]
    return model, list(range(kept))


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
@pytest.mark.parametrize(("layer", "tolerance"), [(0, 2), (3, 1)])
def test_planted_copies_are_counted(share: float, layer: int, tolerance: int) -> None:
    model, kept = with_copies(plain(24, 32), layer, share)
    reading = measure(model, probes(), layers=[str(layer)])[str(layer)]
    alone = plain(24, 32)
    alone[layer].weight = nn.Parameter(model[layer].weight[kept].detach())
    alone[layer].bias = nn.Parameter(model[layer].bias[kept].detach())
    alone = nn.Sequential(*alone[: layer + 2])
    expected = measure(alone, probes(), layers=[str(layer)])[str(layer)]
    assert abs(reading.distinct - expected.distinct) <= tolerance
    assert reading.duplicate_rate >= 2 * min(share, 0.5) * reading.alive / reading.channels - 0.1


def test_a_reading_is_the_reconstructions_hashed() -> None:
    model, images = plain(6, 9), probes()
    reading = measure(model, images)["3"]
    maps = reconstruct(model, images, "3")
    assert maps.shape == (16, 9, 1, 16, 16)
    np.testing.assert_array_equal(reading.fingerprints.bits, perceptual_hash(maps[:, :, 0]))
    np.testing.assert_allclose(reading.energy, maps.square().sum((2, 3, 4)).mean(0), rtol=1e-5)


def test_permuting_kernels_permutes_the_reading() -> None:
    model, images = plain(8, 12), probes()
    reading = measure(model, images)["0"]
    order = torch.randperm(8)
    with torch.no_grad():
        for tensor in (model[0].weight, model[0].bias):
            tensor.copy_(tensor[order])
    permuted = measure(model, images)["0"]
    np.testing.assert_allclose(permuted.similarity, reading.similarity[np.ix_(order, order)])
    assert permuted.redundancy == reading.redundancy


def test_dead_kernels_are_dead_and_not_copies() -> None:
    model = plain(8, 12)
    with torch.no_grad():
        model[3].bias[2:9] = -100
    reading = measure(model, probes())["3"]
    assert reading.dead == pytest.approx(7 / 12)
    np.testing.assert_array_equal(reading.groups < 0, (np.arange(12) >= 2) & (np.arange(12) < 9))
    assert measure(model, probes(), layers=["3"], max_channels=2)["3"].alive == 1


def test_many_kernels_are_sampled_evenly() -> None:
    model, images = plain(8, 12), probes()
    whole, some = (measure(model, images, max_channels=count)["3"] for count in (None, 4))
    np.testing.assert_array_equal(some.indices, [0, 3, 6, 9])
    assert (some.width, some.channels) == (12, 4)
    np.testing.assert_allclose(some.similarity, whole.similarity[::3, ::3])


def test_a_routine_reading_takes_eight_probes_and_128_channels() -> None:
    model, images = plain(4, 150), probes()
    reading = Probe(images).measure(model, full=False)["3"]
    assert reading.fingerprints.bits.shape[:2] == (8, 128)
    np.testing.assert_array_equal(
        reading.similarity, measure(model, images[::2], layers=["3"], max_channels=128)["3"].similarity
    )
    assert Probe(images).measure(model)["3"].fingerprints.bits.shape[:2] == (16, 150)


@pytest.mark.parametrize(("mode", "bits"), [("mean", 63), ("median", 64)])
def test_both_hashes_can_be_measured(mode: str, bits: int) -> None:
    assert measure(plain(4, 5), probes(), hash=mode)["0"].fingerprints.bits.shape[2] == bits


def test_the_report_names_the_layers_in_order() -> None:
    assert list(measure(plain(4, 5), probes())) == ["0", "3"]
    assert list(measure(plain(4, 5), probes(), layers=["4", "0"])) == ["4", "0"]


def test_readings_go_by_width_parameter() -> None:
    report = measure(plain(4, 5), probes())
    expected = Reading(report["3"].redundancy, report["3"].duplicate_rate, report["3"].dead)
    assert report.readings({"3": "width_01"}) == {"width_01": expected}
    assert list(report.readings()) == ["0", "3"]


def test_a_trial_gathers_its_readings() -> None:
    trial = optuna.create_study().ask()
    probe = Probe(probes(), widths={"0": "width_00", "4": "width_01"})
    probe.read(plain(4, 5), trial, 1, accuracy=0.5, learning_rate=0.1)
    report = probe.read(plain(4, 5, seed=1), trial, 2, loss=0.7, full=True)
    trace = read_trace(trial.storage.get_trial_system_attrs(trial._trial_id))
    first, second = trace.epochs
    assert (first.number, first.accuracy, first.learning_rate) == (1, 0.5, 0.1)
    assert (second.number, second.loss) == (2, 0.7)
    assert np.isnan(second.accuracy)
    assert list(trace.last_readings) == ["width_00", "width_01"]
    assert trace.last_readings["width_01"].duplicates == round(report["4"].duplicate_rate, 5)


def test_a_loss_that_is_no_number_was_told_all_the_same() -> None:
    trial = optuna.create_study().ask()
    Probe(probes()).read(plain(4, 5), trial, 1, accuracy=0.1, loss=float("nan"))
    assert exploded(read_trace(trial.storage.get_trial_system_attrs(trial._trial_id)))


def test_the_hash_tells_images_apart() -> None:
    images = probes()
    assert Probe(images).hash == content_hash(images.clone())
    others = [images.double(), images.flip(0), images.transpose(2, 3), images[:8], images + 1e-6]
    assert len({content_hash(other) for other in [images, *others]}) == 6


def flat(images: Tensor) -> Tensor:
    images[3] = 0.5
    return images


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (flat, "image 3 is flat"),
        (lambda images: images * float("nan"), "image 0 .* NaN"),
        (lambda images: images[:2], "2 probe images"),
        (lambda images: images[0], "not float32"),
        (lambda images: (images * 255).to(torch.uint8), "not uint8"),
    ],
)
def test_bad_probes_are_refused(spoil, words: str) -> None:
    images = spoil(probes())
    with pytest.raises(UserError, match=words):
        Probe(images)
    with pytest.raises(UserError, match=words):
        measure(plain(4, 5), images)


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"layers": ["conv"]}, "no layer 'conv'"), ({"hash": "average"}, "no hash 'average'")],
)
def test_bad_settings_are_refused(settings: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        measure(plain(4, 5), probes(), **settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"layer": "1.conv"}, "did you mean '1'"),
        ({"layer": "0", "channels": [0, 4]}, "channels 0 to 3"),
        ({"layer": "0", "seed": "best"}, "no seed 'best'"),
    ],
)
def test_bad_requests_for_pictures_are_refused(settings: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        reconstruct(plain(4, 5), probes(), **settings)


def test_pictures_come_in_the_order_asked() -> None:
    model, images = plain(4, 5), probes(4)
    torch.testing.assert_close(
        reconstruct(model, images, "3", [4, 1], "top"), reconstruct(model, images, "3", seed="top")[:, [4, 1]]
    )


def test_many_readings_leave_nothing_behind() -> None:
    model, images = plain(4, 5), probes(3, side=8)
    measure(model, images)
    before = traces(model)
    for _ in range(200):
        measure(model, images, calibration=images).readings()
    assert traces(model) == before


def traces(model: nn.Module) -> tuple[int, int, int]:
    """What a reading could leave: tensors, their bytes, hooks."""
    gc.collect()
    tensors = [thing for thing in gc.get_objects() if type(thing) in (Tensor, nn.Parameter)]
    hooks = [hook for module in model.modules() for hook in (*module._forward_hooks, *module._forward_pre_hooks)]
    return len(tensors), sum(tensor.untyped_storage().nbytes() for tensor in tensors), len(hooks)
