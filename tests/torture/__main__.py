"""`make torture`: every case, in three processes; a table, and a verdict. Arguments choose: FAULT or FAULT:NUMBER."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

from torture.cases import FAULTS
from torture.worker import Case, Outcome, begin, list_cases, play

PROCESSES = 3  # for two cores: the killed clients wait for real hosts now and then
_WORDS = max(len(fault.words) for fault in FAULTS.values())  # the table's first column


def main(argv: Sequence[str]) -> int:
    """Play the chosen cases (default: all); returns 0 when all passed, 1 otherwise, 2 for a choice that is none."""
    start = time.monotonic()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context, initializer=begin) as pool:
        cases = pool.submit(list_cases).result()
        chosen = _spread([case for case in cases if not argv or case[0] in argv or _id(case) in argv])
        unknown = [word for word in argv if word not in FAULTS and word not in map(_id, cases)]
        if unknown:
            print(f"torture: there is no {', '.join(unknown)}; the faults are {', '.join(FAULTS)}", file=sys.stderr)
            return 2
        outcomes = list(_told(as_completed([pool.submit(play, case) for case in chosen]), len(chosen)))
    failed = sorted((outcome for outcome in outcomes if outcome.problem), key=lambda outcome: outcome.case)
    for outcome in failed:
        print(f"\nFAILED {_id(outcome.case)}: make torture TORTURE={_id(outcome.case)}\n{outcome.problem}")
    print(f"\n{table(outcomes)}\n")
    print(_verdict(outcomes, failed, time.monotonic() - start))
    return 1 if failed else 0


def _id(case: Case) -> str:
    return f"{case[0]}:{case[1]}"


def _spread(cases: Sequence[Case]) -> list[Case]:
    """The cases of all faults side by side, so that those that wait run beside those that compute."""
    many, place = Counter(name for name, _ in cases), Counter[str]()
    order = []
    for case in cases:
        place[case[0]] += 1
        order.append((place[case[0]] / many[case[0]], case))
    return [case for _, case in sorted(order)]


def _told(futures: Iterable[object], total: int) -> Iterator[Outcome]:
    """The outcomes as they come, with a line now and then, and one for each failure."""
    for count, future in enumerate(futures, 1):
        outcome: Outcome = future.result()  # type: ignore[attr-defined]
        if outcome.problem:
            print(f"failed {_id(outcome.case)}: {outcome.problem.splitlines()[0][:150]}", flush=True)
        elif count % 50 == 0 or count == total:
            print(f"{count} of {total} cases", flush=True)
        yield outcome


def table(outcomes: Sequence[Outcome]) -> str:
    """A row for each fault: cases, those that passed, and the seconds that they took in all."""
    rows = [f"{'fault':<{_WORDS}}  cases  passed  seconds"]
    for name, fault in FAULTS.items():
        mine = [outcome for outcome in outcomes if outcome.case[0] == name]
        if mine:
            passed = sum(not outcome.problem for outcome in mine)
            seconds = sum(outcome.seconds for outcome in mine)
            rows.append(f"{fault.words:<{_WORDS}}  {len(mine):5}  {passed:6}  {seconds:7.0f}")
    return "\n".join(rows)


def _verdict(outcomes: Sequence[Outcome], failed: Sequence[Outcome], seconds: float) -> str:
    took = f"{int(seconds) // 60}:{int(seconds) % 60:02}"
    if failed:
        return (
            f"=== failed: {len(failed)} of {len(outcomes)} cases, in {took}: {', '.join(_id(o.case) for o in failed)}"
        )
    return f"=== passed: all {len(outcomes)} cases, in {took}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
