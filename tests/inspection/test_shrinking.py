from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from phashopt.errors import UserError
from phashopt.inspection import Shrinking, Subject, load_subject
from phashopt.networks import Network, build
from phashopt.plans import Family, Plain, ResNet, Vgg
from phashopt.training.data import DataSet, RawData, load_raw, prepare
from phashopt.training.loop import Trainer
from phashopt.training.recipe import Augmentation, Recipe
from phashopt.training.weights import save_weights

FAMILIES = {
    "plain": (Plain(kernel_size=3), (8, 8)),
    "vgg": (Vgg(stages=(1, 1)), (8, 8)),
    "resnet": (ResNet(blocks=(1,)), (8, 8)),
}


@pytest.fixture(scope="module")
def digits() -> tuple[RawData, DataSet]:
    raw = load_raw("digits", Path())
    return raw, prepare(raw, validation=0.5, limit=400, seed=0, device=torch.device("cpu"))


def _subject(family: Family, widths: tuple[int, ...], data: DataSet, folder: Path, epochs: int) -> Subject:
    network = build(family.plan(widths, data.shape, 10), 0)
    trainer = Trainer(
        network, Recipe(epochs=epochs, learning_rate=0.05, augmentation=Augmentation(shift=0)), data.train, 0
    )
    while not trainer.finished:
        trainer.train_epoch()
    description = {
        "network": family.model_dump(mode="json"),
        "widths": list(widths),
        "image": list(data.shape),
        "classes": list(data.classes),
        "standardisation": vars(data.train.standardisation),
    }
    save_weights(folder, network, description)
    return load_subject(str(folder))


@pytest.mark.parametrize("family", FAMILIES)
def test_children_keep_the_cap_and_the_best_can_be_loaded(
    family: str, digits: tuple[RawData, DataSet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phashopt.inspection.shrinking.EXPLORED", 2)
    monkeypatch.setattr("phashopt.inspection.shrinking.REFINED", 1)
    raw, data = digits
    shrinking = Shrinking(_subject(*FAMILIES[family], data, tmp_path / "parent", epochs=1), raw, 0.5)
    children = list(shrinking.children())
    parent = shrinking.parent()
    assert all(child.macs <= 0.5 * parent.macs for child in children)
    assert len({child.widths for child in children}) == len(children) >= 3
    shrinking.save(children[0], tmp_path / "child")
    loaded = load_subject(str(tmp_path / "child")).network
    assert isinstance(loaded, Network)
    assert loaded.blueprint.widths == children[0].widths
    assert all(
        torch.equal(loaded.state_dict()[name], value) for name, value in children[0].network.state_dict().items()
    )
    images = data.validation.standardise(data.validation.pixels[:8])
    by_pytorch = runpy.run_path(str(tmp_path / "child" / "load_network.py"))["load"](tmp_path / "child")
    assert torch.allclose(by_pytorch(images), loaded.eval()(images), atol=1e-5)


def test_a_merged_child_still_knows_most_of_what_its_parent_knew(
    digits: tuple[RawData, DataSet], tmp_path: Path
) -> None:
    raw, data = digits
    shrinking = Shrinking(_subject(Plain(kernel_size=3), (12, 16), data, tmp_path, epochs=20), raw, 0.6)
    parent, best = shrinking.parent(), max(shrinking.children(), key=lambda child: child.accuracy)
    assert parent.accuracy > 0.8
    assert best.accuracy > parent.accuracy - 0.1


def test_what_cannot_be_shrunk_is_said_so(digits: tuple[RawData, DataSet], tmp_path: Path) -> None:
    raw, data = digits
    subject = _subject(*FAMILIES["plain"], data, tmp_path, epochs=1)
    with pytest.raises(UserError, match="none of phashopt's own networks"):
        Shrinking(replace(subject, network=torch.nn.Conv2d(1, 2, 3)), raw, 0.5)
    with pytest.raises(UserError, match="which are not those of the images"):
        Shrinking(subject, replace(raw, classes=("a", "b")), 0.5)
    with pytest.raises(UserError, match="no network of the grid keeps macs"):
        Shrinking(subject, raw, 1e-6)
