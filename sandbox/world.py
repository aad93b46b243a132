"""What the sandbox knows beside moto's own state: the clock, what is due when, and what was answered to which token."""

from __future__ import annotations

import heapq
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.clock import Clock


@dataclass(frozen=True, slots=True)
class Delays:
    """Seconds that AWS takes for things; shorter than the real ones, long enough that nobody can ignore them."""

    pending: float = 1.0  # an instance from pending to running
    stopping: float = 1.0
    shutting_down: float = 1.0  # from shutting-down to terminated
    forgotten: float = 3600.0  # a terminated instance stays listed for about an hour
    profile: float = 2.0  # a new instance profile, or a role just put into one, becomes known to EC2
    role: float = 2.0  # a new role, or whom one trusts, becomes known to EventBridge Scheduler
    group: float = 0.5  # an auto scaling group acts on what it was told
    host: float = 0.5  # a running master's API server answers, a running minion is Ready
    detaching: float = 0.0
    modifying: float = 1.0  # from a change of a disk to its end


@dataclass(order=True, slots=True)
class Timer:
    """Something due at a time; data only, so that the state can be copied."""

    due: float
    order: int
    kind: str = field(compare=False)
    region: str = field(compare=False)
    subject: str = field(compare=False)


@dataclass(slots=True)
class Activity:
    """One entry of an auto scaling group's log."""

    group: str
    status: str
    description: str
    message: str


@dataclass(slots=True)
class Kube:
    """What the stand-in API server keeps: changes to nodes, pods that were put there, and who holds them.

    `nodes` is by instance: annotations and unschedulable; `held` the PodDisruptionBudget of "namespace/pod";
    `log` what was changed, in order; `deleted` the instances whose Node somebody deleted; `initialized` those whose
    Node the cloud controller manager has initialized; `applied` the instances that have the addons' manifests, and the
    disks that have their objects; `ghosts` Nodes of instances that are gone, which a restored etcd still lists;
    `etcd_bytes` how large etcd's file is.
    """

    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    pods: list[dict[str, Any]] = field(default_factory=list)
    held: dict[str, str] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    ghosts: list[dict[str, Any]] = field(default_factory=list)
    deleted: set[str] = field(default_factory=set)
    initialized: set[str] = field(default_factory=set)
    applied: set[str] = field(default_factory=set)
    etcd_bytes: int = 20 * 2**20


@dataclass(slots=True)
class State:
    """All of the sandbox's own memory."""

    timers: list[Timer] = field(default_factory=list)
    order: int = 0
    tokens: dict[tuple[str, ...], tuple[str, int, bytes, list[tuple[str, str]]]] = field(default_factory=dict)
    profiles: dict[str, float] = field(default_factory=dict)  # instance profile -> when EC2 knows it
    roles: dict[str, float] = field(default_factory=dict)  # role -> when others know of it
    schedules_due: dict[tuple[str, str, str], float] = field(default_factory=dict)  # region, group, schedule -> when
    invoked: list[str] = field(default_factory=list)  # what schedules were answered: "done" or an error's code
    groups_due: dict[tuple[str, str], float] = field(default_factory=dict)  # group -> when it acts next
    deleting: set[tuple[str, str]] = field(default_factory=set)
    activities: dict[tuple[str, str], list[Activity]] = field(default_factory=dict)
    consoles: dict[str, list[str]] = field(default_factory=dict)
    hosts: dict[str, float] = field(default_factory=dict)  # instance -> when its simulated host is up
    reboots: dict[str, int] = field(default_factory=dict)  # instance -> how often it was told to reboot
    prepared: set[str] = field(default_factory=set)  # regions that have their images and parameters
    kube: Kube = field(default_factory=Kube)
    next_address: int = 0
    next_public: int = 0
    modified: dict[str, float] = field(default_factory=dict)  # disk -> when it was changed last
    disks: dict[str, str] = field(default_factory=dict)  # a master's disk -> the newest release that booted with it
    late: dict[tuple[str, str], float] = field(default_factory=dict)  # place and name -> when it is found


class World:
    """Clock, delays and state, handed to every rule."""

    def __init__(self, clock: Clock, delays: Delays) -> None:
        self.clock = clock
        self.delays = delays
        self.state = State()
        self.ecr_password = secrets.token_hex(16)  # nobody has it who was not given it
        # What hosts that are machines say: whether an instance's still ends, and what it said on its console.
        self.busy: Callable[[str], bool] = lambda _instance: False
        self.console: Callable[[str], str | None] = lambda _instance: None
        # Faults of launches, a group's own too: region, spec, how many (0: only a look). They may raise Refusal.
        self.launches: list[Callable[[str, Spec, int], None]] = []
        # Faults of pending instances: the code and words of why one ends instead of starting, None where it starts.
        self.starts: list[Callable[[Any], tuple[str, str] | None]] = []

    @property
    def now(self) -> float:
        """The clock's time, seconds."""
        return self.clock.monotonic()

    def at(self, delay: float, kind: str, region: str, subject: str) -> None:
        """Have `kind` done to the subject after a delay (seconds)."""
        self.state.order += 1
        heapq.heappush(self.state.timers, Timer(self.now + delay, self.state.order, kind, region, subject))

    def next_due(self) -> Timer | None:
        """The next timer whose time has come, taken off the list; None when nothing is due."""
        timers = self.state.timers
        return heapq.heappop(timers) if timers and timers[0].due <= self.now else None


Spec = dict[str, Any]
