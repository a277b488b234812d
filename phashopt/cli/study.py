"""`study create | list | show | check | gc | stop | delete | export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phashopt.cli.options import DataDir, Json, Name, Storage
from phashopt.cli.output import FAILED, confirmed, console, messages, plain_errors, print_json

app = typer.Typer(help="Create, look at and remove studies.", no_args_is_help=True)


@app.command()
def create(
    spec: Annotated[Path, typer.Argument(help="A study spec, a TOML file.", show_default=False)],
    storage: Storage = None,
    data_dir: DataDir = None,
    name: Annotated[str | None, typer.Option(help="Instead of the spec's name.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Change an entry: --set training.epochs=4", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Check a spec and its data, then write the study; workers may start at once."""
    with plain_errors():
        from phashopt.service.creation import create_study
        from phashopt.service.spec import load_spec
        from phashopt.service.storage import default_storage
        from phashopt.service.summary import counted
        from phashopt.training.datasets import default_data_dir

        named = [] if name is None else [f'study.name="{name}"']
        checked = load_spec(spec, [*(overrides or []), *named])
        create_study(storage or default_storage(), checked, data_dir or default_data_dir())
        if json:
            print_json({"name": checked.study.name, "trials": checked.study.trials})
        else:
            console.print(f"Study {checked.study.name} created: {counted(checked.study.trials, 0)} to come.")
            console.print(f"Start workers with: python -m phashopt worker {checked.study.name}", soft_wrap=True)


@app.command("list")
def list_studies(storage: Storage = None, json: Json = False) -> None:
    """All studies of a database."""
    with plain_errors():
        from phashopt.search import ADOPTED_KEY
        from phashopt.service.storage import default_storage, open_storage
        from phashopt.service.summary import counted

        database = open_storage(storage or default_storage())
        rows = []
        for study in database.get_all_studies():
            trials = database.get_all_trials(study._study_id, deepcopy=False)
            rows.append((study.study_name, len(trials), sum(ADOPTED_KEY in trial.user_attrs for trial in trials)))
        if json:
            print_json([{"name": name, "trials": made, "adopted": adopted} for name, made, adopted in rows])
            return
        for name, made, adopted in rows:
            console.print(f"{name}  {counted(made, adopted)}", soft_wrap=True, markup=False)
        if not rows:
            messages.print("no studies yet; make one with 'study create SPEC.toml'")


@app.command()
def show(name: Name, storage: Storage = None, json: Json = False) -> None:
    """Baseline, best, front and the decisions of one study."""
    with plain_errors():
        from phashopt.cli.tables import study_tables
        from phashopt.service.storage import default_storage
        from phashopt.service.study import open_scored
        from phashopt.service.summary import summarize

        summary = summarize(open_scored(storage or default_storage(), name))
        if json:
            print_json(summary.to_json())
        else:
            for table in study_tables(summary):
                console.print(table)


@app.command()
def best(
    name: Name,
    macs: Annotated[float | None, typer.Option(min=0, help="Another cap on MACs than the spec's.")] = None,
    params: Annotated[float | None, typer.Option(min=0, help="Another cap on parameters.")] = None,
    storage: Storage = None,
    json: Json = False,
) -> None:
    """The network to take under any cap, with its predicted accuracy: from what the trials taught, no new one."""
    with plain_errors():
        from phashopt.cli.tables import foretold
        from phashopt.search.strategy import shown
        from phashopt.service.belief import predicted_best, trained_best
        from phashopt.service.storage import default_storage
        from phashopt.service.study import open_study

        study, spec = open_study(storage or default_storage(), name)
        caps = {key: cap for key, cap in (("macs", macs), ("params", params)) if cap is not None}
        prediction, trained = predicted_best(study, spec, caps), trained_best(study, spec, caps)
        if json:
            print_json({**vars(prediction), "trained": trained.number if trained else None})
            return
        settings = ", ".join(f"{key} {shown(value)}" for key, value in prediction.params.items())
        console.print(f"{settings}", soft_wrap=True, markup=False)
        console.print(foretold(prediction), soft_wrap=True, markup=False)
        if trained:
            known = (
                f"{trained.attrs['kernels']}, trial {trained.number}, reached {trained.value:.4g} under the same caps"
            )
            console.print(f"trained: {known}", soft_wrap=True, markup=False)


@app.command()
def worth(
    name: Name,
    hours: Annotated[float, typer.Option(min=0.01, max=1e6, help="How much longer.")] = 1.0,
    workers: Annotated[int, typer.Option(min=1, help="How many of them.")] = 1,
    storage: Storage = None,
    json: Json = False,
) -> None:
    """What one more hour would bring by searching on, and by training longer: expected gains with intervals."""
    with plain_errors():
        from phashopt.service.storage import default_storage
        from phashopt.service.study import open_study
        from phashopt.service.worth import worth as expected

        answer = expected(*open_study(storage or default_storage(), name), hours, workers)
        if json:
            print_json(answer.to_json())
            return
        for line in answer.words():
            console.print(line, soft_wrap=True, markup=False)


@app.command()
def extend(
    name: Name,
    trials: Annotated[int, typer.Option(min=0, help="So many trials more.")] = 0,
    compute: Annotated[float, typer.Option(min=0, help="So many MACs more than max_compute.")] = 0.0,
    hours: Annotated[float, typer.Option(min=0, max=1e6, help="Until so many hours from now.")] = 0.0,
    storage: Storage = None,
) -> None:
    """Raise the budget of a study, finished or not; workers started from now on go by it."""
    with plain_errors():
        from phashopt.service.storage import default_storage
        from phashopt.service.study import open_study, raise_budget

        study, spec = open_study(storage or default_storage(), name)
        table = raise_budget(study, spec, trials=trials, compute=compute, hours=hours).study
        limits = {"trials": table.trials, "MACs": table.max_compute, "hours": table.max_hours}
        words = ", ".join(f"{limit:,.4g} {unit}" for unit, limit in limits.items() if limit is not None)
        console.print(
            f"{name} may take {words} in all; start workers with: python -m phashopt worker {name}",
            soft_wrap=True,
            markup=False,
        )


@app.command()
def adopt(
    name: Name,
    source: Annotated[
        str, typer.Option("--from", help="STORAGE or STORAGE/STUDY of an Optuna study.", show_default=False)
    ],
    renamed: Annotated[
        list[str] | None, typer.Option("--map", help="OURS=THEIRS, a parameter under another name; repeat for more.")
    ] = None,
    given: Annotated[
        list[str] | None, typer.Option("--given", help="OURS=VALUE, what theirs held fixed; repeat for more.")
    ] = None,
    storage: Storage = None,
    json: Json = False,
) -> None:
    """Take over another study's complete trials as evidence: they teach the model and count in no budget."""
    with plain_errors():
        from phashopt.service.adopt import adopt as take_over
        from phashopt.service.storage import default_storage
        from phashopt.service.study import open_study

        study, spec = open_study(storage or default_storage(), name)
        adoption = take_over(study, spec, source, _pairs("--map", renamed), _pairs("--given", given))
        if json:
            print_json(adoption.to_json())
            return
        for line in adoption.words():
            console.print(line, soft_wrap=True, markup=False)


@app.command()
def check(name: Name, storage: Storage = None, json: Json = False) -> None:
    """Whether database and files agree: every trial's state, lease and files, and the budget."""
    with plain_errors():
        from phashopt.service.check import check_study
        from phashopt.service.storage import default_storage, open_storage
        from phashopt.service.study import open_plain, read_artifact_root

        url = storage or default_storage()
        study = open_plain(open_storage(url), name)
        findings = check_study(study, read_artifact_root(study, url))
        if json:
            print_json({"name": name, "trials": len(study.get_trials(deepcopy=False)), "findings": findings})
        else:
            for line in findings or [f"Study {name} is sound."]:
                console.print(line, soft_wrap=True, markup=False)
        if findings:
            raise typer.Exit(FAILED)


@app.command()
def gc(
    name: Name,
    storage: Storage = None,
    best: Annotated[int, typer.Option(min=1, help="How many of the best trials keep their weights.")] = 10,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the files.")] = False,
    json: Json = False,
) -> None:
    """Remove what nothing needs any more: checkpoints of finished trials, weights of all but the best and parents."""
    with plain_errors():
        from phashopt.service.gc import collect, garbage
        from phashopt.service.storage import default_storage, open_storage
        from phashopt.service.study import open_plain, read_artifact_root

        url = storage or default_storage()
        study = open_plain(open_storage(url), name)
        files = list(garbage(study, read_artifact_root(study, url), best=best))
        removed, size = (0, 0) if dry_run else collect(iter(files))
        if json:
            print_json({"files": [str(path) for path in files], "removed": removed, "bytes": size})
        elif dry_run:
            for path in files:
                console.print(str(path), soft_wrap=True, markup=False)
        else:
            messages.print(f"{removed} files removed, {size / 1e6:.1f} MB.")


@app.command()
def stop(name: Name, storage: Storage = None) -> None:
    """Ask the workers now running to hand back their trials and leave; a worker started later goes on."""
    with plain_errors():
        from phashopt.service.storage import default_storage, open_storage
        from phashopt.service.study import open_plain, request_stop

        request_stop(open_plain(open_storage(storage or default_storage()), name))
        messages.print(f"The workers of {name} leave within seconds.", markup=False)


@app.command()
def delete(
    name: Name,
    storage: Storage = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove a study at which nobody is at work, with its checkpoints and figures."""
    with plain_errors():
        from phashopt.service.resting import check_at_rest
        from phashopt.service.storage import default_storage, open_storage
        from phashopt.service.study import delete_study, open_plain
        from phashopt.service.summary import counted

        url = storage or default_storage()
        study = open_plain(open_storage(url), name)
        check_at_rest(study)
        if not yes:
            trials = counted(len(study.get_trials(deepcopy=False)), 0)
            confirmed(f"Delete study {name} with its {trials}?")
        delete_study(url, name)
        messages.print(f"Study {name} is deleted.", markup=False)


@app.command()
def export(
    name: Name,
    out: Annotated[Path, typer.Option(help="The folder to write to.", show_default=False)],
    trial: Annotated[int | None, typer.Option(min=0, help="Another trial than the best.", show_default=False)] = None,
    storage: Storage = None,
    json: Json = False,
) -> None:
    """Write the study as JSON and CSV, and the best trial's network with a script that loads it without phashopt."""
    with plain_errors():
        from phashopt.service.export import export_study
        from phashopt.service.storage import default_storage

        files = [str(path) for path in export_study(storage or default_storage(), name, out, trial)]
        if json:
            print_json({"files": files})
        else:
            console.print("\n".join(files), soft_wrap=True, markup=False)


def _pairs(option: str, entries: list[str] | None) -> dict[str, str]:
    from phashopt.errors import UserError

    pairs = [entry.partition("=") for entry in entries or []]
    if bad := next((name for name, equals, value in pairs if not (name and equals and value)), None):
        raise UserError(f"{option} {bad}: write {option} OURS=...")
    return {name.strip(): value.strip() for name, _, value in pairs}
