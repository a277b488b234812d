from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from phashopt.errors import UserError
from phashopt.inspection import load_subject
from phashopt.networks import build
from phashopt.plans import ImageShape, Plain
from phashopt.training.weights import save_weights

FACTORIES = """
import torch
from torch import nn
made = nn.Sequential(nn.Conv2d(1, 2, 3))
def net(): return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.LazyLinear(2))
class Net(nn.Conv2d):
    def __init__(self): super().__init__(3, 4, 3)
def wants(x): return x
def breaks(): raise ValueError("no such thing")
def nothing(): return 7
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "factories_of_a_user.py").write_text(FACTORIES)
    (tmp_path / "broken_module_of_a_user.py").write_text("import no_such_module_anywhere")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture
def trial(tmp_path: Path) -> tuple[Path, nn.Module]:
    image = ImageShape(1, 8, 8)
    family = Plain(kernel_size=3)
    network = build(family.plan([4, 6], image, 3), seed=5)
    description = {
        "network": family.model_dump(mode="json"),
        "widths": [4, 6],
        "image": list(image),
        "classes": ["a", "b", "c"],
        "standardisation": {"mean": [0.25], "std": [0.5]},
    }
    save_weights(tmp_path / "trial", network, description)
    return tmp_path / "trial", network


@pytest.mark.parametrize("file", ["", "weights.safetensors"])
def test_a_trial_comes_back_as_it_was_saved(trial: tuple[Path, nn.Module], file: str) -> None:
    folder, network = trial
    subject = load_subject(str(folder / file))
    torch.testing.assert_close(subject.network.state_dict(), network.state_dict(), rtol=0, atol=0)
    assert subject.is_trained
    assert subject.image == (1, 8, 8)
    assert subject.standardisation is not None
    assert (list(subject.standardisation.mean), list(subject.standardisation.std)) == ([0.25], [0.5])


def test_torchvision_without_weights_is_random_and_the_same_every_time() -> None:
    before = torch.get_rng_state()
    first, second = (load_subject("torchvision:squeezenet1_1") for _ in range(2))
    torch.testing.assert_close(first.network.state_dict(), second.network.state_dict(), rtol=0, atol=0)
    assert not first.is_trained
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_torchvision_takes_as_many_classes_as_the_weights_have(tmp_path: Path, suffix: str) -> None:
    from torchvision.models import squeezenet1_1

    state = squeezenet1_1(num_classes=7).state_dict()
    file = tmp_path / f"weights.{suffix}"
    save_file(state, file) if suffix == "safetensors" else torch.save({"state_dict": state, "epoch": 3}, file)
    subject = load_subject("torchvision:squeezenet1_1", file)
    torch.testing.assert_close(subject.network.state_dict(), state, rtol=0, atol=0)
    assert subject.is_trained


@pytest.mark.parametrize("name", ["net", "Net", "made"])
def test_a_users_function_class_or_network_is_taken(folder: Path, name: str) -> None:
    assert isinstance(load_subject(f"factories_of_a_user:{name}").network, nn.Module)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("nowhere", "nowhere holds no network.json"),
        ("torchvision:resnet8", "did you mean 'resnet18'"),
        ("torchvision:", "torchvision has no classifier"),
        ("no_such_module:net", "cannot import 'no_such_module'"),
        ("broken_module_of_a_user:net", "no_such_module_anywhere"),
        (":net", "cannot import ''"),
        ("factories_of_a_user:nte", "did you mean 'net'"),
        ("factories_of_a_user:", "name a function or class"),
        ("factories_of_a_user:wants", "missing 1 required positional argument"),
        ("factories_of_a_user:breaks", "called without arguments, raises ValueError: no such thing"),
        ("factories_of_a_user:nothing", "gives int, not a torch.nn.Module"),
    ],
)
def test_a_model_that_cannot_be_had_is_one_line(folder: Path, model: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        load_subject(model)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["{}", "[", '{"network": {"family": "bush"}}', '{"network": {"family": "plain"}}'])
def test_a_description_that_is_none_is_one_line(trial: tuple[Path, nn.Module], content: str) -> None:
    (trial[0] / "network.json").write_text(content)
    with pytest.raises(UserError, match=r"network\.json describes no network"):
        load_subject(str(trial[0]))


def test_a_trial_brings_its_own_weights(trial: tuple[Path, nn.Module]) -> None:
    with pytest.raises(UserError, match="leave out --weights"):
        load_subject(str(trial[0]), trial[0] / "weights.safetensors")
