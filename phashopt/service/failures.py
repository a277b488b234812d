"""Errors by class: which end a trial, which mean that this machine can go no further, and what is said of them."""

from __future__ import annotations

import errno
import gc
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage
from optuna.trial import TrialState
from sqlalchemy.exc import OperationalError

from phashopt.errors import UserError
from phashopt.service.storage import without_password
from phashopt.service.uploads import attach

LOG = "error.log"
CANNOT_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE}
NO_FOLDER = {errno.ENOTDIR, errno.EEXIST}  # a file stands where a folder should be


class ManyHostsError(UserError):
    """Another host is at work on a database that serves one only."""


@dataclass(frozen=True)
class Failure:
    """Why a trial failed: the error's class, one line, and all there is to know."""

    kind: str
    message: str
    log: str


def is_out_of_memory(error: BaseException) -> bool:
    """Of the GPU, or of the host as PyTorch and Python say it."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def empty_device() -> None:
    """Give back all memory that nothing refers to."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def blocked(error: BaseException, root: Path) -> UserError | None:
    """The one line for a machine on which no trial could end well; None if the error is the trial's own."""
    if isinstance(error, OSError) and error.errno in CANNOT_WRITE | NO_FOLDER:
        where = error.filename or root
        return UserError(f"cannot write to {where}: {error.strerror}; mend that, then start the worker again")
    if isinstance(error, StorageInternalError) and isinstance(error.__cause__, OperationalError):
        cause = error.__cause__.orig
        return UserError(f"cannot write to the study database: {cause}; mend that, then start the worker again")
    if isinstance(error, ManyHostsError):
        return error
    return None


def failure_of(error: BaseException, facts: Mapping[str, object], url: str) -> Failure:
    """What is said of a trial that an error ended; `facts` are of the attempt, `params` among them."""
    lines = str(error).strip().splitlines()
    message = lines[0] if lines else type(error).__name__
    if is_out_of_memory(error):
        message = f"out of memory twice with {facts['params']}: {message}"
    log = "".join([*(f"{key}: {value}\n" for key, value in facts.items()), "\n", *traceback.format_exception(error)])
    return Failure(type(error).__name__, without_password(message, url), without_password(log, url))


def fail(storage: BaseStorage, trial_id: int, failure: Failure, root: Path) -> None:
    """End a trial with its reason and its log; a folder that takes no log does not keep it from ending."""
    storage.set_trial_user_attr(trial_id, "error.type", failure.kind)
    storage.set_trial_user_attr(trial_id, "error.message", failure.message)
    try:
        attach(storage, trial_id, [(LOG, failure.log.encode())], root)
    except OSError as error:
        storage.set_trial_user_attr(trial_id, "error.log", f"not written: {error.strerror}")
    storage.set_trial_state_values(trial_id, TrialState.FAIL)
