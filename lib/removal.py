"""How kube_down.py removes: one thing after another, on past what cannot go, and what that leaves.

Whatever is refused is said when it is refused. What stays for it is remembered: nothing is waited for whose removal was
refused, nor for what cannot go while that is there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from lib import blockers, iam, master, minions, selfheal
from lib.aws.client import Aws
from lib.aws.errors import FAILURES, ErrorKind, classify, error_code
from lib.aws.tags import tags_of
from lib.run.errors import AwsRefusal, CredentialsError, KubeError, OutputLost, WaitExpired
from lib.run.stops import Stopped

if TYPE_CHECKING:
    from lib.teardown import Doomed

T = TypeVar("T")

# What AWS says when something else has to go first.
BLOCKED = frozenset({"DependencyViolation", "InvalidGroup.InUse"})
_GRACE = 10  # tries while AWS sees nothing in the way any more and still refuses


class Removal:
    """Removes one thing after another, goes on where one cannot go, and remembers which.

    `refused` is what could not be done, each said already; `ending` and `staying` are the ids of instances: those that
    were asked to end, and those of them that do not.
    """

    def __init__(self, aws: Aws, doomed: Doomed) -> None:
        self._aws, self._doomed = aws, doomed
        self._gone: list[Any] = []
        self._kept: list[Any] = []
        self.refused: list[KubeError] = []
        self.ending: set[str] = set()
        self.staying: set[str] = set()

    def each(self, delete: Callable[[Aws, T], None], items: Sequence[T], *, part: bool = False) -> None:
        """Call `delete` for each of `items`, but for what an instance has that stays.

        `part`: the items are still there after it. Raises AwsRefusal or CredentialsError where no call is heard.
        """
        for item in items:
            holders = self.holders_that_stay(item)
            if holders:
                words = f"{blockers.id_of(item)} cannot go: {', '.join(holders)} has it and stays"
                detach = blockers.how_to_detach(item)
                hint = f"end that first{f', or {detach}' if detach else ''}; then run kube_down.py again"
                self.note(item, KubeError(words, hint=hint))
            else:
                self._attempt(functools.partial(delete, self._aws, item), item, part=part)

    def holders_that_stay(self, item: Any) -> list[str]:
        """The instances that have `item` and do not end: what is not told to end is somebody else's."""
        ending = self.ending - self.staying
        return sorted(blockers.instances_with(item) - ending)

    def patiently(self, delete: Callable[..., None], items: Sequence[Any], look: blockers.Look) -> None:
        """The same for what other things can stand in the way of, which `look` finds.

        It is waited for as long as all of these are on their way out.
        """
        for item in items:
            self._attempt(functools.partial(self._delete_waiting, delete, item, look), item, part=False)

    def going(self, items: Sequence[T]) -> list[T]:
        """Those of `items` whose removal was not refused."""
        return [item for item in items if not any(item is kept for kept in self._kept)]

    def all_go(self, items: Sequence[T]) -> bool:
        """Whether the removal of none of `items` was refused."""
        return len(self.going(items)) == len(items)

    def note(self, item: object, error: KubeError) -> None:
        """Say, and remember, what keeps `item` from going."""
        self._kept.append(item)
        self.refused.append(error)
        self._aws.console.warn(f"{error}" + (f" ({error.hint})" if error.hint else ""))

    def left(self) -> Doomed:
        """What was there, without what has gone or was told to."""
        doomed = self._doomed
        gone = [item for item in self._gone if item not in self._kept]
        groups = {each["AutoScalingGroupName"] for each in doomed.groups if each in gone}
        rest: dict[str, Any] = {
            field.name: [item for item in value if item not in gone]
            for field in dataclasses.fields(doomed)
            if isinstance(value := getattr(doomed, field.name), list)
        }
        rest["instances"] = [
            instance
            for instance in doomed.instances
            if instance["InstanceId"] not in gone and tags_of(instance).get("aws:autoscaling:groupName") not in groups
        ]
        return dataclasses.replace(doomed, **rest, bucket=None if doomed.bucket in gone else doomed.bucket)

    def _attempt(self, call: Callable[[], object], item: object, *, part: bool) -> None:
        try:
            call()
        except (OutputLost, CredentialsError):  # nothing that follows would be seen, or allowed
            raise
        except AwsRefusal as refused:
            if classify(refused) is ErrorKind.UNHEARD:
                raise
            self.note(item, refused)
        except (KubeError, *FAILURES) as error:
            self.note(item, error if isinstance(error, KubeError) else self._aws.explain(error))
        else:
            if not part:
                self._gone.append(item)

    def _delete_waiting(self, delete: Callable[..., None], item: Any, look: blockers.Look) -> None:
        doomed = self._doomed
        leaving = blockers.Leaving(
            balancers=[balancer.name for balancer in self.going(doomed.balancers)],
            groups=[group["GroupId"] for group in self.going(doomed.security_groups)],
        )
        found: list[blockers.Blocker] = []
        left = [_GRACE]

        def worth_waiting(error: BaseException) -> bool:
            if error_code(error) not in BLOCKED:
                return False
            found[:] = look(self._aws, item, leaving)
            # Waited for is what goes by itself; what stays is named at once, and where nothing is seen, a few tries do.
            if any(blocker.stays for blocker in found):
                return False
            left[0] -= 0 if any(blocker.leaves for blocker in found) else 1
            return left[0] > 0

        try:
            delete(self._aws, item, wait_if=worth_waiting)
        except AwsRefusal as refused:
            if refused.code in BLOCKED:
                refused.hint = blockers.advice(found)
            raise


def end_schedules(aws: Aws, doomed: Doomed, removal: Removal) -> Doomed:
    """The same with the instances that are there once no schedule is: one may have launched a master since."""
    if not doomed.schedule_groups:
        return doomed
    aws.console.step("Self-healing")
    removal.each(selfheal.delete_schedule, doomed.schedule_groups, part=True)
    removal.each(selfheal.delete_schedule_group, doomed.schedule_groups)
    return dataclasses.replace(doomed, instances=master.own_instances(aws, doomed.config))


def end_instances(aws: Aws, doomed: Doomed, removal: Removal) -> None:
    """End what goes with no group, and return once no instance and no group is left but what AWS refuses to end.

    What turns up meanwhile is ended too: the last call of a schedule that was removed may still have been under way.
    """
    end = aws.clock.monotonic() + doomed.config.kube_wait_delete_seconds
    going = removal.going(doomed.groups)
    for group in doomed.groups:
        if group not in going:
            removal.staying |= {instance["InstanceId"] for instance in group["Instances"]}
    new: Sequence[Any] = doomed.instances
    while True:
        removal.ending |= {instance["InstanceId"] for instance in new}
        ending = dataclasses.replace(doomed, instances=new)
        strays = ending.strays()
        removal.each(master.unprotect, ending.protected(), part=True)
        removal.each(master.terminate_instance, strays)
        removal.staying |= set(strays) - set(removal.going(strays))
        new = _wait_terminated(aws, doomed, removal, seconds=end - aws.clock.monotonic())
        if not new:
            _wait_groups_gone(doomed, removal)
            return
        doomed = dataclasses.replace(doomed, instances=[*doomed.instances, *new])


def _wait_terminated(aws: Aws, doomed: Doomed, removal: Removal, *, seconds: float) -> Sequence[Any]:
    """What turned up meanwhile, [] once none is left. Where they do not go in time, that is said, and they stay."""
    try:
        return master.wait_terminated(
            aws, doomed.config, seconds=seconds, staying=removal.staying, is_new=doomed.is_newcomer
        )
    except WaitExpired as expired:
        removal.note(None, expired)
        removal.staying |= {instance["InstanceId"] for instance in master.own_instances(aws, doomed.config)}
        return []


def _wait_groups_gone(doomed: Doomed, removal: Removal) -> None:
    """Return once none is left of the groups that were told to go, but for those with an instance that stays."""
    for group in removal.going(doomed.groups):
        if not removal.staying & {instance["InstanceId"] for instance in group["Instances"]}:
            removal.each(minions.wait_gone, [group], part=True)


def end_identities(doomed: Doomed, removal: Removal) -> None:
    """Remove instance profiles and roles: each role after its profile, and only where that goes."""
    config = doomed.config
    removal.each(lambda aws, it: iam.delete(aws, config, it), doomed.profiles())
    removal.each(lambda aws, it: iam.delete(aws, config, it), doomed.roles(removal.going(doomed.profiles())))
    removal.each(lambda aws, it: selfheal.delete_healer_role(aws, config, it.name), doomed.healers())


@contextlib.contextmanager
def accounted(aws: Aws, doomed: Doomed, *, keep_disk: bool) -> Iterator[Removal]:
    """What removes the doomed; what stops the run meanwhile is given a note: what was removed, and what is left."""
    removal = Removal(aws, doomed)
    try:
        yield removal
    except (Stopped, KeyboardInterrupt, OutputLost) as stop:
        words, left = (each.words(keep_disk=keep_disk) for each in (doomed, removal.left()))
        removed = [each for each in words if each not in left]
        stop.add_note(
            f"Removed, or told to go, in this run: {', '.join(removed) or 'nothing'}. "
            f"Left: {', '.join(left) or 'nothing'}"
        )
        raise
