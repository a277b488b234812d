"""The paper's section IV, walked step by step on real images, with one figure a step.

`python scripts/section4.py --data-dir DIR` trains the networks of studies/section4.toml one after the other and writes
studies/results/SECTION4.md, SECTION4.json and the figures in studies/results/section4. Interrupted, it goes on.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import optuna
from matplotlib.figure import Figure
from results import RESULTS, Row, publish, run

from phashopt.bench.walk import SUITABLE, Walk, wasted
from phashopt.errors import UserError
from phashopt.figures.export import png_bytes
from phashopt.figures.labels import layer_label
from phashopt.figures.maps import map_sheets
from phashopt.figures.similarity import mean_similarity, similarity_matrices
from phashopt.figures.still import still
from phashopt.figures.trajectories import redundancy_trajectories, width_trajectories
from phashopt.search.space import Axis
from phashopt.service.creation import create_study
from phashopt.service.ranges import WidthRange
from phashopt.service.spec import Spec, load_spec
from phashopt.service.storage import open_storage, trial_folder
from phashopt.service.study import open_study, read_artifact_root
from phashopt.service.summary import TrialSummary, summarize
from phashopt.service.worker import Worker
from phashopt.signal.redundancy import NEAR, groups_alike
from phashopt.training.datasets import default_data_dir
from phashopt.training.snapshot import Snapshot

SPEC = Path("studies/section4.toml")
FOLDER = Path("section4")  # database and trials
PICTURES = RESULTS / "section4"
DPI = 64
THRESHOLDS = (0.15, 0.2, 0.25, 0.3)
NOTES = """
## Where it stops and why

From {start} to **{end}** kernels in {count} networks. {why}. Accuracy {before} before, {after} after, at {costs}
million MACs, one seed each.

The paper stops "near 128", by eye. Suitable here is: at most {suitable} of a layer's kernels are wasted, that is dead,
or near-copies of another (S >= {near}, image by image; the shares of near-copies are of the living). That number is a
judgement, and the width hangs on it: with these readings the layer would have grown to {elsewhere}. The mean
similarity, the paper's own number, hardly moves along the whole walk and could not have stopped it.

Dead kernels count as wasted: near-copies among the living alone are {copies} of the grown layer at most, since kernels
that are too many die instead. A reading of few kernels is coarse: while the second layer grows, the first one's share
moves between {least} and {most}, and the walk does not come back to it.

The paper's figures: 9 and 11(a) are the maps of step 0, 10, 12 and 14 the matrices, 13 the maps of the last suitable
step.
"""


def main() -> None:
    """Walk, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=default_data_dir(), help="holds Fashion-MNIST")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="section.key=value")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spec = load_spec(SPEC, arguments.overrides)
    replay = Replay(spec, f"sqlite:///{FOLDER}/phashopt.db", arguments.data_dir)
    replay.walk()
    replay.draw()
    tables = {"Step by step": [replay.row(trial) for trial in replay.trials()]}
    packages = ("torch", "optuna", "numpy", "scipy")
    spent = time.perf_counter() - replay.seconds()
    publish("SECTION4", "The paper's section IV, step by step", tables, packages, spent, notes=replay.notes())


def walk_of(spec: Spec) -> Walk:
    """The first layer is reduced, the second one grown, as in the paper."""
    grids = {name: grid for name, grid in spec.grids.items() if isinstance(grid, WidthRange)}
    axes = {name: Axis(range(grid.low, grid.high + 1, grid.step)) for name, grid in grids.items()}
    reduced, grown = axes
    return Walk(axes, reduced, grown)


class Replay:
    """The walk as a study: its starting point is the baseline, every step an enqueued trial."""

    def __init__(self, spec: Spec, url: str, data_dir: Path) -> None:
        self._walk = walk_of(spec)
        self._name = spec.study.name
        FOLDER.mkdir(exist_ok=True)
        if self._name not in optuna.get_all_study_names(open_storage(url, create=True)):
            create_study(url, spec, data_dir)
        self._study, _ = open_study(url, self._name)
        self._worker = Worker(url, self._name, data_dir, label="section4")
        self._root = read_artifact_root(self._study, url)

    def walk(self) -> None:
        """Train until the walk ends."""
        self._train_waiting()
        while (step := self._walk.next_step(self.trials())).widths is not None:
            print(f"{step.why}.", flush=True)
            self._study.enqueue_trial(step.widths)
            self._train_waiting()

    def trials(self) -> list[TrialSummary]:
        """The walk so far."""
        return [trial for trial in summarize(self._study).trials if trial.state == "COMPLETE"]

    def seconds(self) -> float:
        """What the trainings and readings of the walk took, in however many calls."""
        parts = ("train_seconds", "signal_seconds")
        return sum(float(trial.attrs[part]) for trial in self.trials() for part in parts)

    def row(self, trial: TrialSummary) -> Row:
        """One step of the walk."""
        layers: Row = {}
        for name, layer in self._seen(trial).layers.items():
            label = layer_label(name).partition(" (")[0]
            layers[f"{label}: near-copies"] = f"{trial.attrs[f'duplicates.{name}']:.0%}"
            layers[f"{label}: dead"] = f"{trial.attrs[f'dead.{name}']:.0%}"
            layers[f"{label}: wasted"] = f"{wasted(trial, name):.0%}"
            layers[f"{label}: mean S"] = round(mean_similarity(layer.similarity), 3)
        return {
            "step": trial.number,
            "kernels": trial.attrs["kernels"],
            **layers,
            "accuracy": f"{trial.value:.2%}",
            "MMACs": round(trial.attrs["macs"] / 1e6, 1),
            "seconds": round(trial.attrs["train_seconds"]),
            "what follows": f"{self._follows(trial)}.",
        }

    def draw(self) -> None:
        """A figure a step, the maps that the walk is about, and both courses."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        for trial in self.trials():
            layers = self._seen(trial).layers
            panels = {f"{layer_label(n)}, {len(each.groups)} kernels": each.similarity for n, each in layers.items()}
            title = f"Step {trial.number}: {trial.attrs['kernels']} kernels"
            save(similarity_matrices(panels, title), f"step-{trial.number:02d}")
        for trial, name in self._shown():
            snapshot = self._seen(trial)
            layer = snapshot.layers[name]
            title = f"Step {trial.number}, {layer_label(name)}, boxes join S >= {NEAR}"
            near = groups_alike(layer.similarity, layer.groups >= 0)  # in small networks nothing is alike at S = 0.90
            for page, figure in enumerate(map_sheets(layer.maps, near, title, snapshot.image)):
                save(figure, f"step-{trial.number:02d}-maps-{page}")
        view = summarize(self._study).view()
        save(still(width_trajectories(view)), "kernels")
        save(still(redundancy_trajectories(view)), "readings")

    def notes(self) -> str:
        """Where the walk stops and why, how far that hangs on the threshold, and the figures."""
        trials = self.trials()
        first, last = trials[0], self._chosen()
        grown = [trial for trial in trials if trial.params[self._walk.reduced] == last.params[self._walk.reduced]]
        moved = [wasted(trial, self._walk.reduced) for trial in grown]
        text = NOTES.format(
            start=first.attrs["kernels"],
            end=last.attrs["kernels"],
            count=len(trials),
            why=self._follows(trials[-1]),
            before=f"{first.value:.2%}",
            after=f"{last.value:.2%}",
            costs=f"{first.attrs['macs'] / 1e6:.1f} and {last.attrs['macs'] / 1e6:.1f}",
            suitable=f"{SUITABLE:.0%}",
            near=NEAR,
            elsewhere=self._elsewhere(grown),
            copies=f"{max(trial.attrs[f'duplicates.{self._walk.grown}'] for trial in grown):.0%}",
            least=f"{min(moved):.0%}",
            most=f"{max(moved):.0%}",
        )
        return text + "".join(f"\n![{path.stem}](section4/{path.name})\n" for path in sorted(PICTURES.glob("*.png")))

    def _train_waiting(self) -> None:
        """Train what is enqueued, or was left half trained by an earlier call, once its lease has run out."""
        self._worker.work()
        last = summarize(self._study).trials[-1]
        if last.state != "COMPLETE":
            why = last.attrs.get("error.message", f"it is {last.state}")
            raise UserError(f"step {last.number} came to no end ({why}); remove {FOLDER} to begin anew")

    def _follows(self, trial: TrialSummary) -> str:
        """What the walk made of a step's readings."""
        return self._walk.next_step([each for each in self.trials() if each.number <= trial.number]).why

    def _chosen(self) -> TrialSummary:
        """Where the walk stops: the last network whose grown layer was suitable, or that it could not grow at all."""
        suitable = [trial for trial in self.trials() if wasted(trial, self._walk.grown) <= SUITABLE]
        return (suitable or self.trials())[-1]

    def _shown(self) -> list[tuple[TrialSummary, str]]:
        """The layer that is reduced as the walk finds it, the one that is grown as the walk leaves it."""
        return [(self.trials()[0], self._walk.reduced), (self._chosen(), self._walk.grown)]

    def _elsewhere(self, grown: list[TrialSummary]) -> str:
        """The width at which other thresholds would have stopped, among the networks that were trained."""
        stops = []
        for threshold in THRESHOLDS:
            over = [trial for trial in grown if wasted(trial, self._walk.grown) > threshold]
            before = [trial for trial in grown if not over or trial.number < over[0].number]
            width = before[-1].params[self._walk.grown] if before else "none"
            stops.append(f"{width}{'' if over else ' or more'} at {threshold:.0%}")
        return ", ".join(stops)

    def _seen(self, trial: TrialSummary) -> Snapshot:
        return Snapshot.load(trial_folder(self._root, self._name, trial.number))


def save(figure: Figure, name: str) -> None:
    """As a small PNG."""
    (PICTURES / f"{name}.png").write_bytes(png_bytes(figure, DPI))


if __name__ == "__main__":
    run("section4", main)
