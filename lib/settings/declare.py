"""How an option is declared at its field of Config, and what the declaration tells everybody else.

The default and the help stand in config-default.env. All that treats options one by one follows from the two: rules,
what is computed, what is remembered, what cannot change, what travels to a node, --help and docs/options.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar

from lib.settings.rules import Rule

T = TypeVar("T")
Role = Literal["master", "minion"]
Readers = Literal["no node", "master", "minion", "both"]
Remembered = Literal["if set", "as resolved", "never"]
Idle = Literal["if remembered", "always", "never"]
Computed = Callable[[Mapping[str, Any]], str]

_KEY = "option"


@dataclass(frozen=True, slots=True)
class Fixed:
    """That a cluster keeps what it has of an option: another value is refused, with what to do `instead`.

    It is so once there is a master, whose minions know it, or `from_the_start`. A run that adds a group of minions, or
    one that begins the cluster anew in another zone, may have another value where that is said.
    """

    instead: str
    from_the_start: bool = False
    but_in_another_group: bool = False
    but_in_another_zone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What `option` was told."""

    rule: Rule[Any]
    read_by: Readers
    remembered: Remembered
    computed: Computed | None
    fixed: Fixed | None
    only_grows: str
    is_path: bool
    may_hold: str
    down: bool
    of_all_groups: bool
    needs: str
    idle: Idle

    def is_read_by(self, role: Role) -> bool:
        """Whether a node of that role reads it."""
        return self.read_by in (role, "both")


def option(
    rule: Rule[T],
    *,
    read_by: Readers = "no node",
    remembered: Remembered = "if set",
    computed: Computed | None = None,
    fixed: Fixed | None = None,
    only_grows: str = "",
    is_path: bool = False,
    may_hold: str = "",
    down: bool = False,
    of_all_groups: bool = False,
    needs: str = "",
    idle: Idle = "if remembered",
) -> T:
    """The field of an option; the rule makes its text into the field's type, or refuses it.

    read_by     whose user-data has it, as a variable of the same name; the role's template must read it
    remembered  of the cluster, for later runs: if it was set; as resolved, where a new default must not change a
                cluster that is there; or never, for what is of one run or one person
    computed    its text when it is empty, from the values of all options that are set and of those above it
    fixed       that a cluster that is there keeps what it has
    only_grows  why it cannot become smaller, with {was} for what the cluster has
    is_path     a leading ~ is the home directory
    may_hold    characters that a shell acts on and it cannot do without: quoted wherever a shell reads them
    down        whether kube_down.py acts on it too; its --help has those alone
    of_all_groups  whether a run about one more group of minions may give it no other value: it is put on what all share
    needs       the option without which, empty, false or 0, it has no effect
    idle        whether it may be set then, which is said: if it is only remembered; always, for bounds that may stand
                for later; or never, where what it has made depends on the other one
    """
    declared = Declared(
        rule=rule,
        read_by=read_by,
        remembered=remembered,
        computed=computed,
        fixed=fixed,
        only_grows=only_grows,
        is_path=is_path,
        may_hold=may_hold,
        down=down,
        of_all_groups=of_all_groups,
        needs=needs,
        idle=idle,
    )
    made: T = field(metadata={_KEY: declared})
    return made


def declarations(config: type) -> dict[str, Declared]:
    """The declaration of each option by its name. Raises TypeError for a field without one."""
    bare = [each.name for each in fields(config) if _KEY not in each.metadata]
    if bare:
        raise TypeError(f"{config.__module__}: write {', '.join(bare)} as `name: type = option(rule, ...)`")
    return {each.name.upper(): each.metadata[_KEY] for each in fields(config)}
