from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner, Result

from phashopt.cli import inspect
from phashopt.networks import build
from phashopt.plans import ImageShape, Plain
from phashopt.training.weights import save_weights

NETWORK = """
import torch
from torch import nn
def net(channels=3):
    return nn.Sequential(nn.Conv2d(channels, 6, 3), nn.ReLU(inplace=True), nn.Conv2d(6, 8, 3), nn.ReLU(inplace=True),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
def five(): return net(5)
def deep():
    network = nn.Sequential()
    network.add_module("stage", nn.Sequential())
    network.stage.add_module("block", nn.Sequential())
    network.stage.block.add_module("convolution", nn.Conv2d(3, 6, 3))
    return network
def flat(): return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
def diverged():
    network = net()
    network[2].weight.data[0, 0, 0, 0] = float("nan")
    return network
"""

Inspect = Callable[..., Result]


@pytest.fixture
def run_inspect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inspect:
    """Runs `inspect` in a folder with a user's module and a user's images, some grey, some RGBA."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "networks_of_a_user.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(str(tmp_path))
    rng = np.random.default_rng(0)
    for number, (mode, depth) in enumerate([("RGB", 3), ("L", 1), ("RGBA", 4)] * 6):
        folder = tmp_path / "images" / ("ant", "bat", "cow")[number // 6]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (20, 30, depth), dtype=np.uint8)
        Image.fromarray(pixels.squeeze(), mode).save(folder / f"{number}.png")
    app = typer.Typer()
    app.command()(inspect.run)
    return lambda *words: CliRunner().invoke(app, list(words))


def test_a_users_network_and_images(run_inspect: Inspect, tmp_path: Path) -> None:
    result = run_inspect("networks_of_a_user:net", "--data", "folder:images", "--size", "16", "--probes", "6")
    assert result.exit_code == 0
    assert "channels" in result.stdout
    assert re.search(r"0\.\d\d \(0\.\d\d\)", result.stdout)  # similarity, and that of random weights
    files = sorted((tmp_path / "inspections" / "networks_of_a_user-net").iterdir())
    assert len(files) == 7
    assert all(file.name in result.stdout for file in files)


def test_layers_are_named_on_a_narrow_terminal(run_inspect: Inspect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    words = ["networks_of_a_user:deep", "--data", "folder:images", "--size", "16", "--probes", "6", "--layers"]
    table = run_inspect(*words, "stage.block.convolution").stdout.split("redund.: 1")[0]
    assert "stage.block.convolution" in "".join(line.split(" ")[1] for line in table.splitlines() if " " in line)


def test_json_is_one_document(run_inspect: Inspect, tmp_path: Path) -> None:
    result = run_inspect(
        "networks_of_a_user:net", "--data", "folder:images", "--layers", "2", "--json", "--out", "here", "--probes", "4"
    )
    document = json.loads(result.stdout)
    assert [layer["layer"] for layer in document["layers"]] == ["2"]
    assert document["image"] == [3, 64, 64]
    assert document["probes"] == 4
    assert {Path(file["path"]) for file in document["files"]} == {Path("here") / p.name for p in Path("here").iterdir()}


def test_weights_and_statistics_are_taken(run_inspect: Inspect, tmp_path: Path) -> None:
    import networks_of_a_user  # type: ignore[import-not-found]

    network = networks_of_a_user.net()
    torch.save(network.state_dict(), tmp_path / "w.pt")
    words = ["networks_of_a_user:net", "--data", "folder:images", "--size", "12", "--json", "--weights", "w.pt"]
    document = json.loads(run_inspect(*words, "--mean", "0.5,0.4,0.3", "--std", "0.2,0.2,0.1").stdout)
    assert (document["mean"], document["std"]) == ([0.5, 0.4, 0.3], [0.2, 0.2, 0.1])


GOOD = ["networks_of_a_user:net", "--data", "folder:images", "--size", "16"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["networks_of_a_user:nett", *GOOD[1:]], "did you mean 'net'?"),
        (["networks_of_a_user:five", *GOOD[1:]], "takes 5 channels"),
        (["networks_of_a_user:flat", *GOOD[1:]], "no nn.Conv2d"),
        (["networks_of_a_user:diverged", *GOOD[1:]], "2.weight holds NaN"),
        (["torchvision:resnet19", *GOOD[1:]], "did you mean 'resnet1"),
        (["nowhere", *GOOD[1:]], "give a trial's folder"),
        (["networks_of_a_user:net", "--data", "folder:nowhere"], "nowhere is no folder"),
        ([*GOOD[:3], "--size", "4"], "cannot take 3x4x4 images"),
        ([*GOOD, "--layers", "3x"], "did you mean '3'"),
        ([*GOOD, "--weights", "images/ant/0.png"], "0.png"),
        ([*GOOD, "--mean", "0.5"], "give both"),
        ([*GOOD, "--mean", "a", "--std", "1"], "--mean a: write one number a channel"),
        ([*GOOD, "--mean", "0,0,0", "--std", "1,0,1"], "standard deviations are positive"),
        ([*GOOD, "--mean", "0.5", "--std", "0.2"], "mean and std have 1, 1"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    run_inspect: Inspect, tmp_path: Path, words: list[str], message: str
) -> None:
    before = sorted(tmp_path.iterdir())
    result = run_inspect(*words)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert message in result.stderr
    assert [path for path in sorted(tmp_path.iterdir()) if path.name != "__pycache__"] == before


def test_a_corrupt_image_is_named(run_inspect: Inspect, tmp_path: Path) -> None:
    (tmp_path / "images" / "bat" / "7.png").write_bytes(b"no picture")
    result = run_inspect(*GOOD)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "bat/7.png cannot be read as an image" in result.stderr
    assert not (tmp_path / "inspections").exists()


def test_a_cap_ranks_narrower_networks_and_writes_the_best(
    run_inspect: Inspect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phashopt.inspection.shrinking.EXPLORED", 0)
    monkeypatch.setattr("phashopt.inspection.shrinking.REFINED", 0)
    classes = ["ant", "bat", "cow"]
    network = build(Plain(kernel_size=3).plan((6, 8), ImageShape(3, 16, 16), 3), 0)
    known = {"mean": [0.5] * 3, "std": [0.25] * 3}
    description = {"network": {"family": "plain", "kernel_size": 3}, "widths": [6, 8], "image": [3, 16, 16]}
    save_weights(tmp_path / "trial", network, {**description, "classes": classes, "standardisation": known})
    words = [
        "trial",
        "--data",
        "folder:images",
        "--probes",
        "4",
        "--layers",
        "layer0.conv",
        "--cap",
        "0.5",
        "--out",
        "out",
    ]
    shown = run_inspect(*words)
    assert shown.exit_code == 0
    assert "6-8 (as it is)" in shown.stdout
    document = json.loads(run_inspect(*words, "--json").stdout)["shrunk"]
    accuracies = [child["accuracy"] for child in document["children"]]
    assert accuracies == sorted(accuracies, reverse=True)
    assert json.loads((tmp_path / "out/shrunk/network.json").read_text())["widths"] == document["children"][0]["widths"]


def test_a_cap_on_somebody_elses_network_is_one_line(run_inspect: Inspect, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    result = run_inspect("networks_of_a_user:net", "--data", "folder:images", "--cap", "0.5")
    assert result.exit_code == 2
    assert "none of phashopt's own networks" in result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(path for path in tmp_path.iterdir() if path.name != "__pycache__") == before
