"""The simulated AWS as one object: moto's server behind the rules, its clock, and the record of every call."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, cast

from werkzeug.serving import BaseWSGIServer, make_server

from sandbox import downloads, tokens
from sandbox.backend import cloud, groups, images, launching, lifecycle, patches, rules, schedules, server, speed
from sandbox.backend.wire import parse, read_body, request_of, result_answer
from sandbox.calls import Answer, Call, Environ, LoseAnswer, Refusal, error_code, refusal_answer
from sandbox.clock import Clock, RealClock
from sandbox.world import Delays, State, World

if TYPE_CHECKING:
    from sandbox.hosts.controlplane import Hosts
    from sandbox.machines.manager import Machines
    from sandbox.machines.start import Prepared

MACHINES = "HTTP_X_SANDBOX_INSTANCE"  # a call of a machine's, not of the command's
INTERNAL = "/_sandbox/"  # the sandbox's own requests, which are no AWS calls and are not recorded
REASONS = {200: "OK", 301: "Moved Permanently", 400: "Bad Request", 403: "Forbidden", 404: "Not Found"}


@dataclass(frozen=True, slots=True)
class Record:
    """One call as `--calls` writes it. Times are seconds since 1970; `error` is the code of a refusal.

    `fault` is what was done to the call on purpose. A call that never came to AWS has status 0.
    """

    service: str
    operation: str
    changes: bool
    status: int
    start: float
    end: float
    error: str = ""
    number: int = 0
    fault: str = ""


@dataclass(slots=True)
class Hooks:
    """Where faults come in. `before` may answer or raise; `after` may change the answer, or raise LoseAnswer.

    `rules` are asked between the two, of what is no repeat of a known ClientToken, and may raise Refusal.
    """

    before: list[Callable[[Call], Answer | None]] = field(default_factory=list)
    rules: list[Callable[[Call], None]] = field(default_factory=list)
    after: list[Callable[[Call, Answer], Answer]] = field(default_factory=list)


class Sandbox:
    """A simulated AWS account. One lives in a process at a time, since moto's state is the process's.

    `latency` is seconds of delay before each answer, spent on the machine's own clock.
    """

    def __init__(self, clock: Clock | None = None, *, delays: Delays | None = None, latency: float = 0.0) -> None:
        self.world = World(clock or RealClock(), delays or Delays())
        self.latency = latency
        self.hooks = Hooks()
        self.calls: list[Record] = []
        self.on_record: Callable[[Record], None] = lambda _record: None
        self.on_tick: list[Callable[[], None]] = []
        self.count = 0
        self.lock = threading.RLock()
        self._moto = server.application()
        self._server: BaseWSGIServer | None = None
        self._hosts: Hosts | Machines | None = None
        self._closed = threading.Event()
        patches.install(self.world)
        speed.install()

    # --- life ---

    def serve(self, *, listener: socket.socket | None = None) -> str:
        """Listen on loopback, in threads of this process; returns the endpoint's address."""
        fd = listener.fileno() if listener else None
        self._server = make_server("127.0.0.1", 0, self, threaded=True, request_handler=server.Handler, fd=fd)
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return f"http://127.0.0.1:{self._server.socket.getsockname()[1]}"

    def serve_hosts(self) -> None:
        """Let instances be simulated hosts: a running master answers at its elastic IP."""
        from sandbox.hosts.controlplane import Hosts

        self._hosts = Hosts(self.world, self.lock)
        self.on_tick.append(self._hosts.tick)

    def serve_machines(self, prepared: Prepared, aws: tuple[str, int]) -> None:
        """Let instances be machines on this computer, which reach the simulated AWS at `aws`."""
        self._hosts = prepared.start(self, aws)

    def tick_every(self, seconds: float) -> None:
        """Look at what is due at this interval, in a thread, for a clock that nobody moves."""

        def run() -> None:
            while not self._closed.wait(seconds):
                self.tick()

        threading.Thread(target=run, daemon=True).start()

    def close(self) -> None:
        """Stop listening, hosts included."""
        self._closed.set()
        if self._hosts is not None:
            self._hosts.close()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def reset(self) -> None:
        """Back to an empty account; hooks, latency and records go too. The clock goes on."""
        with self.lock:
            cloud.forget_everything()
            self.world.state = State()
            self.world.delays = Delays()
            self.hooks = Hooks()
            self.world.launches.clear()
            self.world.starts.clear()
            self.calls.clear()
            self.latency, self.count = 0.0, 0
            self.tick()

    def tick(self) -> None:
        """Let everything happen that is due by the clock."""
        with self.lock:
            lifecycle.tick(self.world)
            schedules.tick(self.world, self._ask)
            groups.tick(self.world)
            lifecycle.tick(self.world)
            for listener in self.on_tick:
                listener()

    # --- requests ---

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """WSGI: one API call, recorded before it is answered."""
        if environ.get("PATH_INFO", "").startswith(INTERNAL):
            return self._internal(environ, start_response)
        if environ.get("PATH_INFO", "").startswith(downloads.PREFIX):
            return downloads.answer(environ["PATH_INFO"], start_response)
        started = time.time()
        call = parse(environ, read_body(environ))
        if self.latency:
            time.sleep(self.latency)
        with self.lock:
            if MACHINES not in environ:
                self.count += 1
                call.number = self.count
            answer = self._handle(call, environ, started)
        if answer.lost:
            raise LoseAnswer(f"the answer to call {call.number} is lost")
        headers = [(name, value) for name, value in answer.headers if name.lower() != "content-length"]
        length = [] if call.method == "HEAD" and not answer.body else [("Content-Length", str(len(answer.body)))]
        if call.method == "HEAD":
            length = [header for header in answer.headers if header[0].lower() == "content-length"] or length
        start_response(f"{answer.status} {REASONS.get(answer.status, 'Status')}", headers + length)
        return [answer.body]

    def _handle(self, call: Call, environ: Environ, started: float) -> Answer:
        """Answer and record one call; it is recorded too when a hook ends it by raising."""
        answer = Answer(0, b"")
        try:
            early = self._early(call)
            if early is not None:
                answer = early
                return answer
            self.tick()
            images.prepare(self.world, call.region)
            answer = self._decide(call, environ)
            answer.code = error_code(answer)
            for change in self.hooks.after:
                answer = change(call, answer)
        except LoseAnswer:
            answer.lost = True
        finally:
            if call.number:
                self._record(call, answer, started)
        return answer

    def _ask(self, region: str, service: str, operation: str, params: dict[str, Any]) -> Answer:
        """What a schedule asks, as if it were a client's call; it is not recorded, and no fault is done to it.

        moto's own launch from a template leaves most of it out, so moto is asked for what the template adds, too.
        """
        whole = launching.from_template(region, params) if operation == "RunInstances" else params
        whole = {name: str(it) if name == "UserData" else it for name, it in whole.items() if name != "LaunchTemplate"}
        call = Call(service, operation, region, params, "query")
        answer = self._decide(call, request_of(service, operation, region, whole))
        answer.code = error_code(answer)
        return answer

    def _early(self, call: Call) -> Answer | None:
        for hook in self.hooks.before:
            early = hook(call)
            if early is not None:
                return early
        return None

    def _decide(self, call: Call, environ: Environ) -> Answer:
        """What AWS says: a repeated token's first answer, a rule's refusal or result, or moto's answer."""
        try:
            known = tokens.recall(self.world, call)
            if known is not None:
                return known
            for fault in self.hooks.rules:
                fault(call)
            for rule in rules.before(call):
                result = rule(self.world, call)
                if result is not None:
                    return result_answer(call, result)
            answer = self._ask_moto(call, environ)
            if not answer.refused:
                for change in rules.after(call):
                    change(self.world, call)
        except Refusal as refusal:
            answer = refusal_answer(call, refusal)
            answer.headers += getattr(refusal, "headers", [])
        tokens.remember(self.world, call, answer)
        return answer

    def _ask_moto(self, call: Call, environ: Environ) -> Answer:
        seen: dict[str, Any] = {}

        def start(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Any:
            seen.update(status=int(status.split()[0]), headers=list(headers))
            return lambda _data: None

        try:
            body = b"".join(self._moto(cast("dict[str, Any]", environ), start))
        except Refusal:
            raise
        except NotImplementedError as error:
            raise Refusal("NotImplementedInSandbox", f"{call.service} {call.operation}: {error}") from error
        return Answer(seen["status"], body, seen["headers"])

    def _record(self, call: Call, answer: Answer, started: float) -> None:
        record = Record(
            call.service,
            call.operation,
            call.changes,
            answer.status,
            round(started, 6),
            round(time.time(), 6),
            answer.code,
            call.number,
            call.fault,
        )
        self.calls.append(record)
        self.on_record(record)

    def _internal(self, _environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        from sandbox.backend.holdings import inventory

        with self.lock:
            self.tick()
            body = json.dumps(inventory(), indent=2, sort_keys=True).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]


def record_line(record: Record) -> str:
    """A record as one line of JSON; `error` and `fault` only where there is one."""
    values = {name: value for name, value in asdict(record).items() if name not in ("error", "fault") or value}
    return json.dumps(values) + "\n"
