"""Turns and inboxes."""

import simpy

from simlab.nodes.queues import Inbox, Turns


def test_who_need_not_wait_does_not_and_the_others_come_in_their_order():
    env, began = simpy.Environment(), []
    turns = Turns(env, 2)

    def work(name):
        yield from turns.turn()
        began.append((name, env.now))
        yield env.timeout(3)
        turns.over()

    for name in "abcde":
        env.process(work(name))
    env.run()
    assert began == [("a", 0), ("b", 0), ("c", 3), ("d", 3), ("e", 6)]


def test_a_turn_that_is_free_costs_no_event():
    turns = Turns(simpy.Environment())
    assert list(turns.turn()) == []
    assert len(list(turns.turn())) == 1
    turns.over()
    turns.over()
    assert list(turns.turn()) == []


def test_what_is_put_into_an_inbox_is_taken_out_in_its_order():
    env, taken = simpy.Environment(), []
    inbox = Inbox(env)
    inbox.put("first")
    inbox.put("second")

    def take():
        while True:
            item = yield inbox.get()
            taken.append((item, env.now))

    def put():
        yield env.timeout(5)
        inbox.put("third")

    env.process(take())
    env.process(put())
    env.run(until=10)
    assert taken == [("first", 0), ("second", 0), ("third", 5)]
