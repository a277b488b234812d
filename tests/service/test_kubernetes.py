"""The manifests as a cluster would judge them: by the schema of their kind, and by what they say of one another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import kubernetes_validate
import pytest
import yaml
from click import Group
from typer.main import get_command

from phashopt.cli.app import app

FOLDER = Path(__file__).parents[2] / "scripts" / "kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
MANIFESTS = [document for name in KUSTOMIZATION["resources"] for document in yaml.safe_load_all((FOLDER / name).open())]
PODS = [manifest["spec"]["template"] for manifest in MANIFESTS if "template" in manifest["spec"]]
OURS = [pod["spec"]["containers"][0] for pod in PODS if pod["spec"]["containers"][0]["image"] == "phashopt"]


def found(key: str, tree: Any) -> Iterator[Any]:
    """What stands under `key` anywhere in a manifest."""
    if isinstance(tree, dict):
        yield from (tree[key] for _ in range(key in tree))
    for branch in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from found(key, branch)


def names(kind: str) -> set[str]:
    return {manifest["metadata"]["name"] for manifest in MANIFESTS if manifest["kind"] == kind}


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda it: f"{it['kind']}-{it['metadata']['name']}")
def test_every_manifest_is_what_its_kind_asks_for(manifest: dict[str, Any]) -> None:
    kubernetes_validate.validate(manifest, "1.37", strict=True)


def test_every_file_is_applied() -> None:
    assert {path.name for path in FOLDER.glob("*.yaml")} == {"kustomization.yaml", *KUSTOMIZATION["resources"]}


def test_what_a_manifest_names_is_there() -> None:
    secrets = {secret["name"]: secret["literals"] for secret in KUSTOMIZATION["secretGenerator"]}
    for wanted in found("secretKeyRef", MANIFESTS):
        assert any(literal.startswith(f"{wanted['key']}=") for literal in secrets[wanted["name"]])
    assert {volume["claimName"] for volume in found("persistentVolumeClaim", MANIFESTS)} == names(
        "PersistentVolumeClaim"
    )
    labels = [pod["metadata"]["labels"].items() for pod in PODS]
    selectors = [
        *(manifest["spec"]["selector"] for manifest in MANIFESTS if manifest["kind"] == "Service"),
        *found("matchLabels", MANIFESTS),
    ]
    assert selectors
    assert all(any(selector.items() <= label for label in labels) for selector in selectors)
    assert all(image["name"] == "phashopt" for image in KUSTOMIZATION["images"])


@pytest.mark.parametrize("container", OURS, ids=lambda it: it["name"])
def test_our_containers_share_database_folder_and_commands_that_there_are(container: dict[str, Any]) -> None:
    settings = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert settings["PHASHOPT_STORAGE"].split("@")[1].split("/")[0] in names("Service")
    (mount,) = container["volumeMounts"]
    assert all(settings[name].startswith(mount["mountPath"]) for name in ("PHASHOPT_ARTIFACTS", "PHASHOPT_DATA"))
    commands = cast(Group, get_command(app)).commands
    command, *words = container["args"]
    commands[command].make_context(command, words)
