"""The environment with a door: what other threads hand in, in which order, and what becomes of their exceptions."""

import threading
import time
import traceback

import pytest

from simlab.network.live.environment import LONGEST_WAIT, LiveEnvironment


@pytest.fixture
def env():
    made = LiveEnvironment()
    made.start(time.perf_counter())
    return made


def test_it_is_paced_by_the_wall_clock(env):
    seen = []

    def workflow():
        for _ in range(3):
            yield env.timeout(0.05)
            seen.append((env.now, env.wall()))

    env.run(until=env.process(workflow()))
    assert [now for now, _ in seen] == pytest.approx([0.05, 0.10, 0.15])
    assert all(wall >= now for now, wall in seen)
    assert all(lag >= 0 for lag in env.lag)
    assert len(env.lag) > 3


def test_a_hand_in_wakes_it_at_once(env):
    event, succeed = env.promise()
    began = time.perf_counter()
    threading.Timer(0.05, succeed, ["value"]).start()
    assert env.run(until=event) == "value"
    assert 0.05 <= time.perf_counter() - began < LONGEST_WAIT
    assert 0.05 <= env.now < LONGEST_WAIT


def test_hand_ins_run_in_the_order_in_which_they_happened(env):
    order = []
    for number in range(100):
        env.hand_in(lambda number=number: order.append(number))
    env.run(until=0.05)
    assert order == list(range(100))


def test_a_hand_in_comes_before_what_is_due_after_it(env):
    order = []

    def workflow():
        yield env.timeout(0.1)
        order.append("due")

    def busy():
        yield env.timeout(0.01)
        time.sleep(0.15)  # the environment is late: both wait for it now

    env.process(busy())
    process = env.process(workflow())
    threading.Timer(0.05, lambda: env.hand_in(lambda: order.append("handed in"))).start()
    env.run(until=process)
    assert order == ["handed in", "due"]
    assert max(env.lag) > 0.04


def test_time_never_runs_backwards(env):
    """Threads hand in while the environment is late: each completion at its own time, or now if that is past."""
    times, done = [], threading.Event()

    def note():
        times.append((env.now, env.wall()))

    def hammer():
        while not done.is_set():
            env.hand_in(note)
            time.sleep(0.001)

    def workflow():
        for _ in range(20):
            yield env.timeout(0.005)
            times.append((env.now, env.wall()))
            time.sleep(0.008)

    threads = [threading.Thread(target=hammer) for _ in range(4)]
    for thread in threads:
        thread.start()
    env.run(until=env.process(workflow()))
    done.set()
    for thread in threads:
        thread.join()
    assert len(times) > 50
    assert [now for now, _ in times] == sorted(now for now, _ in times)
    assert all(now <= wall for now, wall in times)


def test_hand_ins_of_many_threads_all_arrive(env):
    count, threads = [0], []

    def count_up():
        count[0] += 1  # only ever on the environment's thread

    def hand_in():
        for _ in range(200):
            env.hand_in(count_up)

    threads = [threading.Thread(target=hand_in) for _ in range(20)]
    for thread in threads:
        thread.start()
    while count[0] < 4000:
        env.run(until=env.timeout(0.01))
    assert count == [4000]


def test_submitted_work_runs_side_by_side(env):
    began = time.perf_counter()
    values = env.run(until=env.all_of([env.submit(lambda k=k: time.sleep(0.1) or k) for k in range(20)]))
    assert sorted(values.values()) == list(range(20))
    assert time.perf_counter() - began < 1


class PickyError(Exception):
    """Cannot be made from its ``args``, as SimPy would when it raises an exception that nobody caught."""

    def __init__(self, first, second):
        super().__init__(f"{first} {second}")


def broken():
    raise PickyError("deep", "down")


def test_a_bug_reaches_the_workflow_that_waits(env):
    def workflow():
        with pytest.raises(RuntimeError, match="PickyError: deep down"):
            yield env.submit(broken)
        with pytest.raises(ZeroDivisionError):
            yield env.submit(lambda: 1 / 0)
        return "caught"

    assert env.run(until=env.process(workflow())) == "caught"


@pytest.mark.parametrize("start", ["workflow", "spawn", "hand_in"])
def test_a_bug_ends_the_run_with_its_traceback(env, start):
    def workflow():
        yield env.submit(broken)

    if start == "workflow":
        env.process(workflow())
    elif start == "spawn":
        env.spawn(broken)
    else:
        threading.Timer(0.02, env.hand_in, [broken]).start()
    with pytest.raises(Exception) as caught:  # noqa: PT011 -- told by its traceback
        env.run(until=2)
    text = "".join(traceback.format_exception(caught.value))
    assert "PickyError: deep down" in text
    assert "in broken" in text
    if start == "workflow":
        assert "yield env.submit(broken)" in text


def test_an_exit_in_a_worker_is_not_swallowed(env):
    def leave():
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        env.run(until=env.submit(leave))


def test_a_start_in_the_future(env):
    """Groups agree on a zero of time that lies ahead; what is handed in before it waits for it."""
    env = LiveEnvironment()
    env.start(time.perf_counter() + 0.5)
    happened = env.event()
    env.hand_in(lambda: happened.succeed((env.now, env.wall())))
    now, wall = env.run(until=happened)
    assert now == 0.0
    assert wall >= 0.0
