"""Cells onto processes.

One process: one cell after the other, here. Several: joblib's own (loky), each of which keeps its model; where one of
them dies, a new one takes what it had not finished. A Dask scheduler (``tcp://…``): joblib's backend for it; cells of a
worker that is lost go to another by themselves. All of them give what a cell gave as soon as it did, in no order.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from threading import Thread
from typing import Any, TypeVar

from energylang.errors import ElError

from .cells import Done
from .worker import Task, run

T = TypeVar("T")
R = TypeVar("R")
MAX_LOSSES = 3
"""So many processes may die in a row without a cell being finished; then those that are left have failed."""
PATIENCE = 20.0  # seconds for a scheduler to answer
_OBJECTS = 50_000  # more than there were, until garbage is looked for
GRACE = 1.0  # seconds for which a process may outlive its parent
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def one_thread() -> None:
    """Let the libraries that calculate, which are not imported yet, use one thread in this process and its children."""
    for name in THREADS:
        os.environ[name] = "1"


def run_for(parent: int, task: Task) -> Done:
    """Run a cell in a process that ends when its parent is no more: nobody would take what it gives."""
    if not _watched:
        _watched.append(Thread(target=_end_with, args=(parent,), daemon=True))
        _watched[0].start()
        _import_what_stays()
    return run(task)


def _import_what_stays() -> None:
    """Import torch and whatever runs cells, without a search through it for garbage: what an import makes stays. Joblib
    looks through all that is not set aside, half a million objects, after every cell."""
    gc.set_threshold(_OBJECTS, 10, 10)
    import_module("energylang.session")
    gc.freeze()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(GRACE)
    os._exit(1)


_watched: list[Thread] = []


def here(tasks: Sequence[Task]) -> Iterator[Done]:
    """One after the other, in this process."""
    yield from map(run, tasks)


def in_processes(tasks: Sequence[Task], jobs: int) -> Iterator[Done]:
    """In so many processes of this machine."""
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky import get_reusable_executor
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    left = {task.cell.name: task for task in tasks}
    losses = 0
    try:
        while left:
            try:
                with parallel_config(backend="loky", n_jobs=min(jobs, len(left)), inner_max_num_threads=1):
                    parallel = Parallel(
                        return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs"
                    )
                    for done in parallel(delayed(run_for)(os.getpid(), task) for task in list(left.values())):
                        del left[done.name]
                        losses = 0
                        yield done
            except TerminatedWorkerError:
                losses += 1
                if losses < MAX_LOSSES:
                    continue
                said = f"its process died {MAX_LOSSES} times: killed, or out of memory"
                for name in left:
                    yield Done(name, error=said, code="EL502")
                return
    finally:
        get_reusable_executor().shutdown(wait=False, kill_workers=True)


def in_order(work: Callable[[T], R], items: Sequence[T], jobs: int) -> Iterator[R]:
    """What ``work`` gives for each of the items, in their order, from so many processes. An error in one of them is
    raised where its turn is."""
    if jobs == 1 or len(items) < 2:
        yield from map(work, items)
        return
    from joblib import Parallel, delayed, parallel_config

    with parallel_config(backend="loky", n_jobs=min(jobs, len(items)), inner_max_num_threads=1):
        yield from Parallel(return_as="generator", batch_size=1)(delayed(work)(item) for item in items)


def on_scheduler(tasks: Sequence[Task], address: str) -> Iterator[Done]:
    """On the workers of a Dask scheduler. Raises ``ElError`` where it cannot be reached, or has no worker."""
    from joblib import Parallel, delayed, parallel_config

    client = _client(address)
    try:
        with parallel_config(backend="dask", client=client, wait_for_workers_timeout=60):
            parallel = Parallel(
                n_jobs=-1, return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs"
            )
            yield from parallel(delayed(run)(task) for task in tasks)
    except TimeoutError:
        raise ElError(f"the scheduler at {address} has no workers", code="EL502",
                      hint=f"dask worker {address} --nthreads 1") from None  # fmt: skip
    finally:
        client.close()


def _client(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError:
        raise ElError("--on tcp://… needs Dask's distributed library", code="EL500",
                      hint="pip install 'energylang[dask]', here and where the workers are") from None  # fmt: skip
    try:
        return Client(address, timeout=PATIENCE, set_as_default=False)  # type: ignore[no-untyped-call]  # as it has it
    except (OSError, TimeoutError, ValueError) as error:
        raise ElError(f"there is no Dask scheduler at {address}: {error}", code="EL502",
                      hint="`dask scheduler` starts one and says its address") from None  # fmt: skip
