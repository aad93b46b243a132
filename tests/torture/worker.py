"""What one of the processes of `make torture` does: a stage of its own, and one case after another on it."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass

from torture.cases import FAULTS, all_cases
from torture.stage import Stage, stage

Case = tuple[str, int]


@dataclass(frozen=True)
class Outcome:
    """How a case ended: `problem` is empty for one that passed."""

    case: Case
    seconds: float
    problem: str


class Worker:
    """A process's own stage, opened when it is first needed and closed with the process."""

    stack = ExitStack()
    own: Stage | None = None

    @classmethod
    def stage(cls) -> Stage:
        if cls.own is None:
            cls.own = cls.stack.enter_context(stage())
        return cls.own


def begin() -> None:
    """Have this process end with the one that started it, however that ends."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)


def list_cases() -> list[Case]:
    """All cases, by an undisturbed run."""
    return all_cases(Worker.stage())


def play(case: Case) -> Outcome:
    """Play one case."""
    name, number = case
    there = Worker.stage()
    start = time.monotonic()
    problem = ""
    try:
        FAULTS[name].play(there, number)
    except Exception as error:  # noqa: BLE001  whatever it is, the table says so and the others go on
        problem = f"{type(error).__name__}: {error}"
    return Outcome(case, time.monotonic() - start, problem)
