from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from phashopt.errors import UserError
from phashopt.inspection.state import fill, read_state


class Evil:
    """A pickle that would write a file."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("was-here",)


@pytest.mark.parametrize("nest", [None, "state_dict", "model"])
def test_a_state_dict_is_read_wherever_it_lies(tmp_path: Path, nest: str | None) -> None:
    state = nn.Linear(3, 2).state_dict()
    torch.save({nest: state, "epoch": 1} if nest else state, tmp_path / "w.pt")
    torch.testing.assert_close(read_state(tmp_path / "w.pt"), dict(state), rtol=0, atol=0)


@pytest.mark.parametrize("save", [lambda thing, path: path.write_bytes(pickle.dumps(thing)), torch.save])
def test_a_pickle_that_wants_code_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save: object
) -> None:
    monkeypatch.chdir(tmp_path)
    save({"weight": Evil()}, tmp_path / "w.pt")  # type: ignore[operator]
    with pytest.raises(UserError, match="could run code"):
        read_state(tmp_path / "w.pt")
    assert not (tmp_path / "was-here").exists()


def test_a_whole_pickled_module_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(3, 2), tmp_path / "w.pt")
    with pytest.raises(UserError, match=r"save model\.state_dict"):
        read_state(tmp_path / "w.pt")


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
@pytest.mark.parametrize("content", [b"", b"rubbish", b"\x80\x02rubbish", b"PK\x03\x04rubbish"])
def test_rubbish_is_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_state(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {}, torch.zeros(3)])
def test_what_is_no_state_dict_is_one_line(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(UserError, match="holds no state dict"):
        read_state(tmp_path / "w.pt")


def test_no_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no weights file"):
        read_state(tmp_path / "w.pt")


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"weight": torch.zeros(2, 3)}, 'Missing key.*"bias"'),
        ({"weight": torch.zeros(2, 3), "bias": torch.zeros(2), "more": torch.zeros(1)}, 'Unexpected key.*"more"'),
        ({"weight": torch.zeros(2, 4), "bias": torch.zeros(2)}, "size mismatch for weight"),
    ],
)
def test_weights_that_do_not_fit_are_one_line(state: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        fill(nn.Linear(3, 2), state, Path("w.pt"))
    assert "\n" not in str(caught.value)


def test_safetensors_are_read(tmp_path: Path) -> None:
    state = {"weight": torch.randn(2, 3)}
    save_file(state, tmp_path / "w.safetensors")
    torch.testing.assert_close(read_state(tmp_path / "w.safetensors"), state, rtol=0, atol=0)
