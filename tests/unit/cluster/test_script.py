"""A script runs once and its output arrives byte for byte, whatever becomes of the connections.

The pod is a double that keeps a script's output as the supervisor does; time is its own, so that nothing waits.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from executor.cluster import contact as contact_module
from executor.cluster import script as script_module
from executor.cluster.script import Fate, Order, Script, Surroundings
from executor.errors import Cancelled, ClusterRefused, ClusterUnreachable, PodLost, ScriptLost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STDOUT, STDERR, STATUS = 1, 2, 3
ORDER = Order(stage="s", script=b"make\n", logins=b"{}", shell="sh", output_limit=10**9, umask="0022")
PAYLOAD = ORDER.logins + ORDER.script
Frame = tuple[int, bytes]
Broken = ClusterUnreachable("The connection broke.", why="reset")


class Clock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Silence:
    """The connection stands and nothing comes for so many seconds, or for ever."""

    def __init__(self, seconds: float = float("inf")) -> None:
        self.seconds = seconds


@dataclass
class Plan:
    """What goes wrong on one connection: a refusal at once, or a change of what would be said."""

    refusal: Exception | None = None
    arrives: int = len(PAYLOAD)
    """How much of stdin reaches the pod."""
    change: Callable[[list[Frame]], list[Any]] = list
    """Frames that a healthy connection would bring -> frames, exceptions, silences; the end of it ends the stream."""


class Connection:
    """One exec."""

    def __init__(self, pod: Pod, command: list[str], plan: Plan) -> None:
        self.pod = pod
        self.command = command
        self.plan = plan
        self.closed = False
        self.stdin = b""
        self._stderr = b""
        self._events: deque[Any] | None = None

    def send(self, data: bytes) -> None:
        self.stdin += data

    def receive(self, seconds: float) -> tuple[int, memoryview] | None:
        assert not self.closed
        if self._events is None:
            self._events = deque(self.plan.change(self.pod.answer(self.command, self.stdin[: self.plan.arrives])))
        event = self._events.popleft() if self._events else None
        if isinstance(event, Silence):
            self.pod.clock.sleep(seconds)
            left = event.seconds - seconds
            if left > 0:
                self._events.appendleft(Silence(left))
            raise TimeoutError
        if isinstance(event, BaseException):
            raise event
        if event is None:
            return None
        channel, data = event
        self._stderr += data if channel == STDERR else b""
        self.pod.heard |= channel == STDOUT or b"kd1 started\n" in self._stderr
        return channel, memoryview(data)

    def close(self) -> None:
        self.closed = True


@dataclass
class Pod:
    """A pod whose supervisor knows one script, and connections that go wrong as planned."""

    clock: Clock
    output: bytes = b"hello\n"
    code: int = 0
    plans: list[Plan] = field(default_factory=list)
    fates: list[Fate | Exception] = field(default_factory=list)
    started: int = 0
    heard: bool = False
    """Whether the driver has seen a sign that the script runs."""
    commands: list[list[str]] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    printed: bytearray = field(default_factory=bytearray)
    said: list[str] = field(default_factory=list)
    noted: list[tuple[str, str]] = field(default_factory=list)
    ticks: int = 0
    on_tick: Callable[[], None] = lambda: None
    on_sink: Callable[[], None] = lambda: None

    def open(self, command: list[str], where: str = "here") -> Connection:
        self.commands.append([where, *command[3:]])
        assert command[3] != "run" or not self.heard, "a script that is known to run must never be sent again"
        plan = self.plans.pop(0) if self.plans else Plan()
        if plan.refusal is not None:
            raise plan.refusal
        connection = Connection(self, command[3:], plan)
        self.connections.append(connection)
        return connection

    def answer(self, command: list[str], stdin: bytes) -> list[Frame]:
        """Say what the supervisor says on a healthy connection, in the order in which it says it."""
        verb, stage, *rest = command
        assert stage == ORDER.stage
        frames: list[Frame] = []
        if verb == "run":
            if not self.started:
                length, digest = int(rest[0]), rest[1]
                if len(stdin) < length or sha256(stdin[:length]).hexdigest() != digest:
                    return [(STDERR, b"kd1 error cut\n")]
                self.started += 1
            frames.append((STDERR, b"kd1 started\n"))
            offset = 0
        elif not self.started:
            return [(STDERR, b"kd1 error unknown\n")]
        else:
            offset = int(rest[-1])
        output = self.output[offset:]
        size = max(1, len(output) // 7)
        for start in range(0, len(output), size):
            frames += [(STDOUT, output[start : start + size]), (STDERR, b"kd1 beat\n")]
        return [*frames, (STDERR, b"kd1 exit %d %d 1048576 0 0\n" % (self.code, len(self.output)))]

    def script(self, *, connection_timeout: float = 300) -> Script:
        return Script(ORDER, self.surroundings(), connection_timeout=connection_timeout)

    def surroundings(self) -> Surroundings:
        def look() -> Fate:
            fate = self.fates.pop(0) if self.fates else Fate.RUNNING
            if isinstance(fate, Exception):
                raise fate
            return fate

        def sink(data: memoryview) -> None:
            self.on_sink()
            self.printed += data

        def tick() -> None:
            self.ticks += 1
            self.on_tick()

        return Surroundings(
            open=self.open,
            open_elsewhere=lambda command: self.open(command, "elsewhere"),
            look=look,
            explain=lambda: PodLost("The build container used more memory than its limit and was killed."),
            sink=sink,
            passed=lambda: len(self.printed),
            say=self.said.append,
            tick=tick,
            note=lambda event, reason: self.noted.append((event, reason)),
        )

    def check(self) -> None:
        """Hold what must be true whatever happened."""
        assert all(connection.closed for connection in self.connections)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    for module in (script_module, contact_module):
        monkeypatch.setattr(module, "time", made)
    return made


@pytest.fixture
def pod(clock: Clock) -> Iterator[Pod]:
    made = Pod(clock)
    yield made
    made.check()


# ---------------------------------------------------------------- faults of one connection


def ends_after(frames_left: int) -> Plan:
    return Plan(change=lambda frames: frames[:frames_left])


def breaks_after(frames_left: int) -> Plan:
    return Plan(change=lambda frames: [*frames[:frames_left], Broken])


def silent_after(frames_left: int) -> Plan:
    return Plan(change=lambda frames: [*frames[:frames_left], Silence()])


def exit_overtakes(*, loses_output: bool) -> Plan:
    return Plan(change=lambda frames: [frames[-1], *([] if loses_output else frames[:-1])])


def channels_in_wrong_order(frames: list[Frame]) -> list[Any]:
    """All of stderr before all of stdout: the two are not ordered between them."""
    return sorted(frames, key=lambda frame: -frame[0])


def says_all_twice(frames: list[Frame]) -> list[Any]:
    return [again for frame in frames for again in ([frame, frame] if frame[0] == STDERR else [frame])]


def in_crumbs(frames: list[Frame]) -> list[Any]:
    return [(channel, data[n : n + 1]) for channel, data in frames for n in range(len(data))]


def with_noise(frames: list[Frame]) -> list[Any]:
    noise = (STDERR, b"sh: /driver/stages: odd\nkd1 exit x\nkd9 exit 1 1 1 1 1\n\xff\n" + b"z" * 500 + b"\n")
    return [noise, *frames[:2], noise, *frames[2:]]


NOT_THERE = Plan(refusal=ClusterRefused("no", status=500, why="container not found"))
HEALTHY = (
    Plan(),
    *(Plan(change=change) for change in (channels_in_wrong_order, says_all_twice, in_crumbs, with_noise)),
)
PASSING = (
    Plan(refusal=Broken),
    *(Plan(refusal=ClusterRefused("no", status=status, why="later")) for status in (400, 404, 429, 500, 502, 503, 504)),
    Plan(arrives=0),
    Plan(arrives=len(PAYLOAD) - 1),
    *(fault(n) for fault in (ends_after, breaks_after, silent_after) for n in (0, 1, 2, 3, 9, 14, 15)),
    exit_overtakes(loses_output=True),
    exit_overtakes(loses_output=False),
)


class TestOneConnection:
    @pytest.mark.parametrize("plan", HEALTHY)
    @pytest.mark.parametrize("output", [b"", b"x", b"no newline", b"\0\xff\r\n" * 1000, b"kd1 exit 0 0 0 0 0\n"])
    def test_output_and_code_arrive_exactly(self, pod: Pod, plan: Plan, output: bytes) -> None:
        pod.output, pod.code, pod.plans = output, 37, [plan]
        ended = pod.script().run()
        assert bytes(pod.printed) == output
        assert (ended.code, ended.size, ended.peak) == (37, len(output), 1048576)
        assert [command[1] for command in pod.commands] == ["run"]
        assert pod.said == []

    def test_the_payload_is_logins_then_script(self, pod: Pod) -> None:
        pod.script().run()
        assert pod.connections[0].stdin == b"{}make\n"

    def test_a_reader_that_is_slow_is_no_silence(self, pod: Pod) -> None:
        pod.output = b"x" * 7
        pod.on_sink = lambda: pod.clock.sleep(120)
        pod.script(connection_timeout=60).run()
        assert len(pod.connections) == 1

    def test_a_quiet_script_is_followed_as_long_as_it_beats(self, pod: Pod) -> None:
        pod.plans = [
            Plan(change=lambda frames: [frames[0], *[Silence(5), (STDERR, b"kd1 beat\n")] * 1000, *frames[1:]])
        ]
        pod.script().run()
        assert len(pod.connections) == 1
        assert pod.ticks >= 5000

    def test_a_script_that_never_falls_silent_is_left_all_the_same(self, pod: Pod) -> None:
        def leave() -> None:
            raise Cancelled

        pod.output = b"x" * 70_000
        pod.plans = [Plan(change=in_crumbs)]
        pod.on_sink = lambda: pod.clock.sleep(0.001)
        pod.on_tick = leave
        with pytest.raises(Cancelled):
            pod.script().run()
        assert len(pod.printed) <= 1001


class TestLostConnections:
    @pytest.mark.parametrize("plan", PASSING)
    def test_after_a_fault_not_a_byte_is_lost_or_repeated(self, pod: Pod, plan: Plan) -> None:
        pod.output, pod.code, pod.plans = bytes(range(256)) * 3, 1, [plan]
        assert pod.script().run().code == 1
        assert bytes(pod.printed) == pod.output
        assert pod.started == 1

    def test_any_row_of_faults_ends_in_the_whole_output_and_one_run(self, clock: Clock) -> None:
        some = random.Random(8)
        whole = 0
        for _ in range(500):
            output = some.randbytes(some.randrange(0, 400))
            plans = [some.choice((*PASSING, *HEALTHY)) for _ in range(some.randrange(1, 8))]
            pod = Pod(clock, output=output, code=some.randrange(256), plans=list(plans))
            try:
                ended = pod.script(connection_timeout=10**6).run()
            except ScriptLost:
                # Only where the rest stayed away five times after the end was told.
                assert len(pod.connections) > 5
                continue
            finally:
                pod.check()
            assert bytes(pod.printed) == output
            assert ended.code == pod.code
            whole += 1
        assert whole > 490

    @pytest.mark.parametrize("lost", [1, 2, 5])
    def test_once_started_a_script_is_only_followed(self, pod: Pod, lost: int) -> None:
        pod.output = b"x" * 70
        pod.plans = [breaks_after(lost)] * 3
        pod.script().run()
        assert [command[1] for command in pod.commands] == ["run", "follow", "follow", "follow"]

    def test_output_alone_proves_that_it_started(self, pod: Pod) -> None:
        pod.plans = [Plan(change=lambda frames: [frames[1], Broken])]
        pod.script().run()
        assert [command[1] for command in pod.commands] == ["run", "follow"]
        assert pod.commands[1] == ["here", "follow", "s", "1"]

    def test_a_start_that_was_not_heard_is_asked_for_again_under_the_same_name(self, pod: Pod) -> None:
        pod.plans = [breaks_after(0)]
        pod.script().run()
        assert [command[1:3] for command in pod.commands] == [["run", "s"], ["run", "s"]]
        assert pod.started == 1

    def test_silence_is_a_lost_connection(self, pod: Pod) -> None:
        pod.plans = [silent_after(2)]
        before = pod.clock.now
        pod.script().run()
        assert 15 < pod.clock.now - before < 30
        assert [event for event, _ in pod.noted] == ["exec stream lost"]

    def test_the_first_try_to_come_back_is_made_at_once(self, pod: Pod) -> None:
        pod.plans = [breaks_after(3)]
        before = pod.clock.now
        pod.script().run()
        assert pod.clock.now == before

    def test_further_tries_come_slower_and_tick_meanwhile(self, pod: Pod) -> None:
        pod.plans = [breaks_after(3), *[Plan(refusal=Broken)] * 20]
        before = pod.clock.now
        pod.script().run()
        assert 20 < pod.clock.now - before < 110
        assert pod.ticks > 20

    def test_a_long_outage_is_told_once_it_is_over(self, pod: Pod) -> None:
        pod.plans = [breaks_after(3), *[Plan(refusal=Broken)] * 10]
        pod.script().run()
        (line,) = pod.said
        assert "no output is missing" in line

    def test_a_short_one_is_nobodys_business(self, pod: Pod) -> None:
        pod.plans = [breaks_after(3), Plan(refusal=Broken)]
        pod.script().run()
        assert pod.said == []


class TestGivingUp:
    def test_an_outage_longer_than_the_setting_ends_the_job_with_words(self, pod: Pod) -> None:
        pod.plans = [breaks_after(3), *[Plan(refusal=Broken)] * 1000]
        pod.fates = [Broken] * 1000
        before = pod.clock.now
        with pytest.raises(ClusterUnreachable, match=r"timeouts\.connection"):
            pod.script(connection_timeout=100).run()
        assert 100 <= pod.clock.now - before < 120

    @pytest.mark.parametrize("refusal", [Broken, ClusterRefused("dial tcp: i/o timeout", status=500)])
    def test_a_node_that_is_silent_while_the_api_server_answers_is_lost_within_two_minutes(
        self, pod: Pod, refusal: Exception
    ) -> None:
        pod.plans = [breaks_after(3), *[Plan(refusal=refusal)] * 1000]
        before = pod.clock.now
        with pytest.raises(PodLost, match="does not answer") as lost:
            pod.script(connection_timeout=600).run()
        assert lost.value.category == "node_lost"
        assert 60 <= pod.clock.now - before < 80

    def test_a_node_that_the_api_server_cannot_reach_is_lost_and_said_once(self, pod: Pod) -> None:
        message = "error sending request: Post https://10.0.0.9:10250/exec/x: dial tcp 10.0.0.9:10250: no route to host"
        status = b'{"status":"Failure","reason":"InternalError","message":"%b"}' % message.encode()
        pod.plans = [breaks_after(3), *[Plan(change=lambda _: [(STATUS, status)])] * 1000]
        before = pod.clock.now
        with pytest.raises(PodLost, match="does not answer") as lost:
            pod.script(connection_timeout=600).run()
        assert lost.value.why.endswith("dial tcp 10.0.0.9:10250: no route to host")
        assert 60 <= pod.clock.now - before < 80
        assert pod.said == []

    def test_a_silent_node_is_given_its_time_anew_when_the_api_server_was_away_too(self, pod: Pod) -> None:
        pod.plans = [breaks_after(3), *[Plan(refusal=Broken)] * 30]
        pod.fates = [*[Fate.RUNNING] * 15, Broken, *[Fate.RUNNING] * 14]
        assert pod.script().run().code == 0

    def test_an_api_server_that_does_not_answer_either_is_waited_for(self, pod: Pod) -> None:
        pod.plans = [breaks_after(3), *[Plan(refusal=Broken)] * 3]
        pod.fates = [Broken] * 4
        assert pod.script().run().code == 0

    @pytest.mark.parametrize("category", ["right_missing", "credentials"])
    def test_a_server_that_starts_may_not_know_the_right_to_begin(self, pod: Pod, category: str) -> None:
        no = ClusterRefused("no", status=403, category=category)
        pod.plans = [*[Plan(refusal=no)] * 3]
        assert pod.script().run().code == 0

    def test_a_token_that_is_renewed_late_is_waited_for(self, pod: Pod) -> None:
        renewed = pod.clock.now + 12
        no = ClusterRefused("no", status=401, category="credentials")
        pod.plans = [Plan(refusal=no)] * 7
        pod.fates = [no] * 7
        assert pod.script().run().code == 0
        assert pod.clock.now < renewed

    def test_a_token_that_stays_refused_is_told_within_half_a_minute(self, pod: Pod) -> None:
        no = ClusterRefused("no", status=401, category="credentials")
        pod.plans, pod.fates = [Plan(refusal=no)] * 100, [no] * 100
        before = pod.clock.now
        with pytest.raises(ClusterRefused):
            pod.script().run()
        assert 10 < pod.clock.now - before < 30

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_a_server_in_a_storm_may_not_tell_of_the_pod_either_before_the_script_began(
        self, pod: Pod, status: int
    ) -> None:
        storm = ClusterRefused("a storm", status=status)
        pod.plans = [Plan(refusal=storm)] * 4
        pod.fates = [storm] * 4
        assert pod.script().run().code == 0

    def test_a_right_to_begin_that_stays_missing_is_told_soon(self, pod: Pod) -> None:
        pod.plans = [Plan(refusal=ClusterRefused("no", status=403, category="right_missing"))] * 100
        before = pod.clock.now
        with pytest.raises(ClusterRefused):
            pod.script().run()
        assert pod.clock.now - before < 10

    def test_a_right_to_look_that_stays_missing_is_told_soon(self, pod: Pod) -> None:
        pod.plans = [NOT_THERE] * 100
        pod.fates = [ClusterRefused("no", status=403, category="right_missing")] * 100
        before = pod.clock.now
        with pytest.raises(ClusterRefused):
            pod.script().run()
        assert pod.clock.now - before < 20

    def test_a_refusal_for_another_reason_ends_it_at_once(self, pod: Pod) -> None:
        pod.plans = [Plan(refusal=ClusterRefused("no", status=403))]
        with pytest.raises(ClusterRefused):
            pod.script().run()
        assert len(pod.commands) == 1

    def test_a_pod_that_is_gone_is_told_with_its_cause(self, pod: Pod) -> None:
        pod.plans = [breaks_after(3), NOT_THERE]
        pod.fates = [PodLost("The job pod was evicted.")]
        with pytest.raises(PodLost, match="evicted"):
            pod.script().run()
        assert pod.printed

    def test_a_supervisor_that_forgot_the_script_never_runs_it_again(self, pod: Pod) -> None:
        pod.plans = [breaks_after(3), Plan(change=lambda _: [(STDERR, b"kd1 error unknown\n")])]
        with pytest.raises(ScriptLost) as lost:
            pod.script().run()
        assert "no longer knows it" in lost.value.why
        assert "/driver" in lost.value.remedy
        assert [command[1] for command in pod.commands] == ["run", "follow"]

    @pytest.mark.parametrize(("word", "words"), [(b"full", "disk is full"), (b"lost", "process that kept it is gone")])
    def test_what_the_supervisor_cannot_do_is_told(self, pod: Pod, word: bytes, words: str) -> None:
        pod.plans = [Plan(change=lambda _: [(STDERR, b"kd1 error %b\n" % word)])]
        with pytest.raises(ScriptLost) as lost:
            pod.script().run()
        assert words in lost.value.why

    @pytest.mark.parametrize(
        "status", [b'{"metadata":{},"status":"Success"}', b'{"status":"Failure","reason":"NonZeroExitCode"}']
    )
    def test_followers_that_end_without_a_word_are_given_up_soon(self, pod: Pod, status: bytes) -> None:
        wordless = Plan(change=lambda _: [(STDERR, b"kd1 beat\n"), (STATUS, status)])
        pod.plans = [breaks_after(3), *[wordless] * 100]
        before = pod.clock.now
        with pytest.raises(ScriptLost, match="without a word"):
            pod.script().run()
        assert pod.clock.now - before < 15

    def test_commands_that_cannot_be_started_are_a_node_in_trouble_for_a_while(self, pod: Pod) -> None:
        failure = b'{"status":"Failure","reason":"InternalError","message":"containerd is not there"}'
        unstarted = Plan(change=lambda _: [(STATUS, failure)])
        pod.plans = [breaks_after(3), *[unstarted] * 15]
        assert pod.script().run().code == 0

    def test_and_then_they_are_given_up_with_the_reason(self, pod: Pod) -> None:
        failure = b'{"status":"Failure","reason":"InternalError","message":"containerd is not there"}'
        pod.plans = [breaks_after(3), *[Plan(change=lambda _: [(STATUS, failure)])] * 100]
        before = pod.clock.now
        with pytest.raises(ScriptLost, match="containerd is not there"):
            pod.script().run()
        assert 20 < pod.clock.now - before < 60

    def test_followers_that_die_while_they_bring_output_are_no_reason_to_give_up(self, pod: Pod) -> None:
        killed = b'{"status":"Failure","reason":"NonZeroExitCode"}'
        pod.output = b"x" * 70
        pod.plans = [Plan(change=lambda frames: [*frames[:3], (STATUS, killed)])] * 30
        assert pod.script().run().code == 0
        assert bytes(pod.printed) == pod.output

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_server_that_has_just_started_may_not_know_rights_yet(self, pod: Pod, status: int) -> None:
        pod.plans = [breaks_after(3), *[Plan(refusal=ClusterRefused("no", status=status))] * 5]
        pod.fates = [ClusterRefused("no", status=status)] * 5
        assert pod.script().run().code == 0

    def test_a_right_that_is_taken_away_is_told_in_the_end(self, pod: Pod) -> None:
        pod.plans = [breaks_after(3), *[Plan(refusal=ClusterRefused("no", status=403, why="403 forbidden"))] * 1000]
        with pytest.raises(ClusterUnreachable, match="403 forbidden"):
            pod.script(connection_timeout=60).run()

    def test_a_forged_end_that_promises_more_output_is_found_out(self, pod: Pod) -> None:
        forged = Plan(change=lambda frames: [*frames[:-1], (STDERR, b"kd1 exit 0 999999 0 0 0\n")])
        pod.plans = [forged] * 20
        with pytest.raises(ScriptLost, match="could be read"):
            pod.script().run()
        assert len(pod.connections) < 10

    def test_a_script_that_never_arrives_whole_is_given_up_in_time(self, pod: Pod) -> None:
        pod.plans = [Plan(arrives=3)] * 1000
        with pytest.raises(ClusterUnreachable):
            pod.script(connection_timeout=60).run()
        assert pod.started == 0


class TestDeadContainer:
    """The script's container is dead, the pod's other one can still read what it left."""

    def test_the_rest_is_read_from_the_other_container_and_the_cause_told(self, pod: Pod) -> None:
        pod.output = b"0123456789"
        drained = Plan(change=lambda frames: [*frames[:-1], (STDERR, b"kd1 error lost\n")])
        pod.plans = [breaks_after(4), NOT_THERE, drained]
        pod.fates = [Fate.ENDED]
        with pytest.raises(PodLost, match="more memory than its limit"):
            pod.script().run()
        assert bytes(pod.printed) == pod.output
        where, verb, *_ = pod.commands[-1]
        assert (where, verb) == ("elsewhere", "drain")

    def test_a_script_that_had_ended_before_keeps_its_code(self, pod: Pod) -> None:
        pod.output, pod.code = b"0123456789", 3
        pod.plans = [breaks_after(4), NOT_THERE]
        pod.fates = [Fate.ENDED]
        assert pod.script().run().code == 3
        assert bytes(pod.printed) == pod.output

    @pytest.mark.parametrize(
        "plan", [Plan(refusal=Broken), Plan(refusal=ClusterRefused("no", status=500)), silent_after(0), breaks_after(0)]
    )
    def test_a_rest_that_cannot_be_read_hides_no_cause(self, pod: Pod, plan: Plan) -> None:
        pod.plans = [breaks_after(4), NOT_THERE, *[plan] * 10]
        pod.fates = [Fate.ENDED]
        before = pod.clock.now
        with pytest.raises(PodLost, match="more memory than its limit"):
            pod.script().run()
        assert pod.noted[-1][0].startswith("the rest of the output ")
        assert pod.clock.now - before < 20

    def test_a_rest_that_comes_at_the_second_try_is_whole(self, pod: Pod) -> None:
        pod.output, pod.code = b"0123456789", 3
        pod.plans = [breaks_after(4), NOT_THERE, breaks_after(5), Plan(refusal=Broken)]
        pod.fates = [Fate.ENDED]
        assert pod.script().run().code == 3
        assert bytes(pod.printed) == pod.output


class TestStopping:
    def cancelled(self, pod: Pod, *, after: int) -> Script:
        """A script whose run was left by a cancel."""
        cancel = Plan(change=lambda frames: [*frames[:after], Cancelled()])
        pod.plans.insert(0, cancel)
        script = pod.script()
        with pytest.raises(Cancelled):
            script.run()
        return script

    def test_the_rest_and_the_code_arrive(self, pod: Pod) -> None:
        pod.output, pod.code = b"0123456789", 143
        script = self.cancelled(pod, after=4)
        ended = script.stop(grace=10)
        assert ended is not None
        assert ended.code == 143
        assert bytes(pod.printed) == pod.output
        assert pod.commands[-1] == ["here", "stop", "s", "10", "2"]

    @pytest.mark.parametrize(
        "plan", [Plan(refusal=Broken), Plan(refusal=ClusterRefused("no", status=503)), breaks_after(1), ends_after(0)]
    )
    def test_a_passing_fault_is_tried_again(self, pod: Pod, plan: Plan) -> None:
        pod.output = b"0123456789"
        script = self.cancelled(pod, after=4)
        pod.plans = [plan]
        assert script.stop(grace=1) is not None
        assert bytes(pod.printed) == pod.output

    def test_it_gives_up_some_time_after_the_grace(self, pod: Pod) -> None:
        script = self.cancelled(pod, after=4)
        pod.plans = [Plan(refusal=Broken)] * 1000
        before = pod.clock.now
        assert script.stop(grace=10) is None
        assert 25 < pod.clock.now - before < 40

    def test_a_pod_that_goes_on_printing_does_not_hold_it_up(self, pod: Pod) -> None:
        script = self.cancelled(pod, after=4)
        pod.plans = [Plan(change=lambda _: [Silence(1), (STDERR, b"kd1 beat\n")] * 1000)]
        before = pod.clock.now
        assert script.stop(grace=1) is None
        assert pod.clock.now - before < 30
        assert pod.noted[-1][0] == "the script was not stopped"

    @pytest.mark.parametrize("status", [403, 404, 500])
    def test_a_container_that_is_not_there_needs_no_stop(self, pod: Pod, status: int) -> None:
        script = self.cancelled(pod, after=4)
        pod.plans = [Plan(refusal=ClusterRefused("no", status=status, why="container not found"))]
        assert script.stop(grace=1) is None
        assert pod.noted[-1] == ("the script was not stopped", "container not found")

    def test_what_ends_the_stage_leaves_no_stream_open(self, pod: Pod) -> None:
        def leave() -> None:
            raise Cancelled

        pod.plans = [silent_after(1)]
        pod.on_tick = leave
        with pytest.raises(Cancelled):
            pod.script().run()
        assert pod.connections[0].closed
