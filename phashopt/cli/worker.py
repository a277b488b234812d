"""`worker`: pull trials of a study, one process or Ray actor a slot, until its budget is used up."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from phashopt.cli.options import DataDir, Name, Storage
from phashopt.cli.output import BAD_INPUT, FAILED, INTERRUPTED, messages, plain_errors
from phashopt.errors import UserError

if TYPE_CHECKING:
    from phashopt.service.cluster import RaySupervisor
    from phashopt.service.supervisor import Supervisor


def run(
    name: Name,
    storage: Storage = None,
    data_dir: DataDir = None,
    processes: Annotated[int, typer.Option(min=1, help="Slots on the CPU, or on the one GPU there is.")] = 1,
    gpus: Annotated[str | None, typer.Option(help="GPUs to use, as in 0,1", show_default=False)] = None,
    per_gpu: Annotated[int, typer.Option(min=1, help="Slots a GPU, with --gpus.")] = 1,
    trials: Annotated[
        int | None, typer.Option(min=1, help="At most so many trials a slot.", show_default=False)
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Work on this Ray cluster: local, auto, HOST:PORT or ray://HOST:PORT."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Slots, with --ray; each takes one CPU.", show_default="1")
    ] = None,
    gpus_per_worker: Annotated[
        float | None, typer.Option(min=0, help="GPUs a slot, with --ray: a half lets two share one.", show_default="0")
    ] = None,
) -> None:
    """Train trials until the study's budget is used up.

    Ctrl-C hands the running trials back, to be gone on with later; a second one leaves at once.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until there is what to hand back: imports may swallow it
    with plain_errors():
        from phashopt.cli.live import Display
        from phashopt.service.cluster import RaySupervisor
        from phashopt.service.storage import default_storage
        from phashopt.service.study import open_study
        from phashopt.service.supervisor import Assignment, Supervisor
        from phashopt.training.datasets import default_data_dir

        _check_options(ray, here=(processes > 1, gpus, per_gpu > 1), there=(workers, gpus_per_worker))
        url = storage or default_storage()
        interrupts: list[int] = []
        study, spec = open_study(url, name, give_up=lambda: bool(interrupts))
        _check_gpus(gpus)
        devices = _slots(processes, gpus, per_gpu)
        slots = len(devices) if ray is None else workers or 1
        assignment = Assignment(
            url=url,
            name=name,
            data_dir=data_dir or default_data_dir(),
            threads=_threads(slots) if ray is None else 1,
            limit=trials,
        )
        supervisor = (
            Supervisor(assignment, devices)
            if ray is None
            else RaySupervisor(assignment, ray, workers=slots, gpus=gpus_per_worker or 0.0)
        )
        _answer_signals(supervisor, interrupts)
        with Display(messages, study, spec.study.trials, slots) as display:
            for slot, event in supervisor.listen():
                display.show(slot, event)
        if display.users_error:
            raise typer.Exit(BAD_INPUT)
        if interrupts:
            raise typer.Exit(INTERRUPTED)
        if display.failed:
            raise typer.Exit(FAILED)


def _check_options(ray: str | None, here: tuple[object, ...], there: tuple[object, ...]) -> None:
    """Slots are counted in one way here and in another on a Ray cluster; raises `UserError` if these are mixed."""
    if ray is None and any(option is not None for option in there):
        raise UserError("--workers and --gpus-per-worker go with --ray ADDRESS; without it give --processes, --gpus")
    if ray is not None and any(here):
        raise UserError("with --ray, give --workers and --gpus-per-worker, not --processes, --gpus or --per-gpu")


def _check_gpus(gpus: str | None) -> None:
    """Raise `UserError` for a number that no GPU of this machine has; UUIDs are taken on trust where there is any."""
    if gpus is None:
        return
    import torch

    known = torch.cuda.device_count()
    for gpu in map(str.strip, gpus.split(",")):
        if not known or not gpu or (gpu.isdigit() and int(gpu) >= known):
            raise UserError(f"--gpus {gpus}: there are {known} GPUs here; leave it out to train on the CPU")


def _threads(slots: int) -> int:
    """CPU threads a slot: its share of the cores, and no more than `OMP_NUM_THREADS` says where that is set."""
    from joblib import cpu_count

    share: int = max(1, cpu_count() // slots)
    given = os.environ.get("OMP_NUM_THREADS", "")
    return min(share, int(given)) if given.isdecimal() and int(given) else share


def _slots(processes: int, gpus: str | None, per_gpu: int) -> list[str | None]:
    if gpus is None:
        return [None] * processes
    return [gpu.strip() for gpu in gpus.split(",") for _ in range(per_gpu)]


def _answer_signals(supervisor: Supervisor | RaySupervisor, noted: list[int]) -> None:
    """Ctrl-C or SIGTERM, `noted` as they come: the slots leave; a second Ctrl-C: at once.

    SLURM, for one, says SIGTERM two or three times and means one leave.
    """

    def answer(number: int, frame: FrameType | None) -> None:
        noted.append(number)
        if len(noted) == 1:
            messages.print(
                "Leaving: the running trials go back to the queue. A second Ctrl-C leaves at once.", soft_wrap=True
            )
            supervisor.leave()
        elif number == signal.SIGINT:
            supervisor.kill()

    signal.signal(signal.SIGINT, answer)
    signal.signal(signal.SIGTERM, answer)
