"""`confirm`: fresh seeds, images the search never scored."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from phashopt.cli.options import DataDir, Json, Name, Storage
from phashopt.cli.output import console, messages, plain_errors, print_json

if TYPE_CHECKING:
    from phashopt.bench.confirm import Entrant


class Judge(StrEnum):
    """Which images judge; no trial has seen the test split."""

    test = "test"
    held_out = "held_out"


def run(
    name: Name,
    top: Annotated[
        int, typer.Option(min=1, help="How many of the feasible trials that the study's model ranks first.")
    ] = 1,
    seeds: Annotated[int, typer.Option(min=2, help="Fresh seeds for each that stays in the race.")] = 3,
    split: Annotated[Judge, typer.Option(help="The images that judge.")] = Judge.test,
    storage: Storage = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Retrain the baseline and the best trials with fresh seeds: luck in the search does not count here.

    Best is what the study's model expects most of, the highest accuracy where it has none. The validation images choose
    among the fresh trainings; one that is clearly beaten on them gets no more seeds. The other split judges: where
    there was a choice, as many more trainings of the chosen one and of the baseline, which had no say in it. A child is
    trained both ways: from its parent's kernels, and from scratch for as long as its ancestors and it together, at the
    rate that its line began with.
    """
    with plain_errors():
        import torch

        from phashopt.bench.confirm import Race, candidates
        from phashopt.cli.tables import confirmation_table
        from phashopt.service.belief import believed_order
        from phashopt.service.images import check_data, load_data
        from phashopt.service.origin import children
        from phashopt.service.storage import default_storage
        from phashopt.service.study import open_study, read_artifact_root
        from phashopt.service.summary import summarize
        from phashopt.training.datasets import default_data_dir

        url = storage or default_storage()
        study, spec = open_study(url, name)
        order = believed_order(study, spec)
        summary = summarize(study)
        trials = candidates(summary, top, order)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        data = load_data(spec, data_dir or default_data_dir(), device)
        check_data(study, data)
        root, numbers = read_artifact_root(study, url), [trial.number for trial in trials]
        origins = children(study, numbers, spec, data, root)
        founders = {trial.number: summary.founder(trial) for trial in trials}
        race = Race(spec, data, trials, split.value, origins, founders=founders)
        for entrant in race.run(seeds):
            trained = f"{_named(entrant)}, seed {len(entrant.validation)} of {seeds}"
            messages.print(
                f"{trained}: {entrant.validation[-1]:.2%} validation, {entrant.judged[-1]:.2%} {split.value}"
            )
        for entrant in race.judge(seeds):
            judged = f"{_named(entrant)}, judged by seed {len(entrant.judged)} of {seeds} others"
            messages.print(f"{judged}: {entrant.judged[-1]:.2%} {split.value}")
        rows = [entrant.to_json(race.baseline) for entrant in race.entrants]
        chosen = race.entrants.index(race.chosen)
        if json:
            command = f"python -m phashopt confirm {name} --top {top} --seeds {seeds} --split {split.value} --json"
            print_json(
                {
                    "command": command,
                    "split": split.value,
                    "ranked_by": "accuracy" if order is None else "model",
                    "chosen": race.chosen.trial.number,
                    "chosen_start": rows[chosen]["start"],
                    "spec": study.user_attrs["spec"],
                    "versions": study.user_attrs["versions"],
                    "data_hash": data.hash,
                    "confirmed": rows,
                }
            )
        else:
            console.print(confirmation_table(rows, chosen, split.value))


def _named(entrant: Entrant) -> str:
    return f"trial {entrant.trial.number}{', inherited' if entrant.origin else ''}"
