"""What a plan varies and is asked for, as people write it: factors and their levels, service levels."""

import pytest

import simlab
from lab.samples import tiny_lab
from lab.test_plan import BANDWIDTH, DELAY, FAR
from simlab.errors import UserError
from simlab.lab.plan.design import make_design
from simlab.lab.plan.factors import read_factors
from simlab.lab.plan.service_levels import read_service_level


@pytest.fixture(scope="module")
def far():
    return tiny_lab(FAR)


# ---- factors


def design(lab, *vary):
    topology = lab.topology
    return make_design(topology, read_factors(topology, vary), replications=2, warm_up=0.0, levels=())


def test_a_full_factorial_around_the_base_case(far):
    cells = design(far, DELAY, "ct1.associations=2,4", BANDWIDTH).cells
    assert cells[0].levels == ("0 s", "1", "100 Mbit/s")
    assert cells[0].topology == far.topology
    assert len(cells) == 1 + 2 * 2 * 2
    assert cells[1].levels == ("0 s", "2", "50 Mbit/s")
    assert cells[-1].topology.nodes["archive"].report_delay == 1
    assert cells[-1].topology.nodes["ct1"].associations == 4
    assert cells[1].topology.links[0].bandwidth == 50e6 / 8


def test_the_base_case_is_run_once_though_its_levels_are_asked_for(far):
    cells = design(far, DELAY, BANDWIDTH).cells
    assert [cell.levels for cell in cells] == [
        ("0 s", "100 Mbit/s"), ("0 s", "50 Mbit/s"), ("1 s", "50 Mbit/s"), ("1 s", "100 Mbit/s"),
    ]  # fmt: skip


def test_every_cell_gets_the_same_seeds(far):
    seeds = {}
    for trial in design(far, DELAY).trials():
        seeds.setdefault(trial.cell.number, []).append(trial.seed)
    assert seeds == {0: [1, 2], 1: [1, 2]}


@pytest.mark.parametrize(
    ("vary", "told"),
    [
        ("ct1.associations=1,2,4", ["1", "2", "4"]),
        ("ct1.poll=200,500 ms", ["1 s", "200 ms", "500 ms"]),
        ("link.main-north.latency=0,5ms", ["5 ms", "0 s"]),
        ("link.north-main.back.bandwidth=10Mbit/s,null", ["null", "10 Mbit/s"]),
        ("ris.orders.rate=2,4 /h", ["2 /h", "4 /h"]),
        ("ris.orders.mix.ct-head=1,2", ["1", "2"]),
        ("finish_within=6000,60 s", ["1 min", "100 min"]),
        ("ct1.commit=archive,null", ["archive", "null"]),
        ("archive.durability=write,none", ["write", "none"]),
        ("ct1.propose=null,JPEGLSLossless+ExplicitVRLittleEndian",
         ["null", "JPEGLSLossless+ExplicitVRLittleEndian"]),
        ("ris.orders.rate=2e0 /h", ["2 /h"]),
    ],
)  # fmt: skip
def test_what_can_be_varied(far, vary, told):
    assert [cell.levels[0] for cell in design(far, vary).cells] == told


def test_levels_may_be_values_of_python(far):
    topology = far.topology
    (delay, rate) = read_factors(topology, {"archive.report_delay": [0, 1.5], "ris.orders.rate": "4 /h"})
    assert [delay.told(delay.applied(topology, level)) for level in delay.levels] == ["0 s", "1.5 s"]
    assert rate.levels == ("4 /h",)


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        ("ct1.associations", '"ct1.associations": expected a field and its levels, as in "ct1.associations=1,2,4"'),
        ("ct1.associations=", "ct1.associations: a level is missing"),
        ("ct1.associations=1,,2", "ct1.associations: a level is missing"),
        ("ct1.associations=1,99", 'nodes.ct1.associations: "99"; expected less than or equal to 16'),
        ("ct1.asociations=1", 'nodes.ct1.asociations: unknown key "asociations"; did you mean "associations"?'),
        ("ct7.associations=1", 'ct7.associations: no node "ct7"; did you mean "ct1"?'),
        ("ct1.poll=1,2", 'nodes.ct1.poll: expected a duration such as "20 ms", not "1"'),
        ("ct1.poll.s=1 s", "poll has no parts that could be varied"),
        ("ct1.store=archiv", 'nodes.ct1.store: unknown node "archiv"; did you mean "archive"?'),
        ("ct1=1", "ct1: no setting of a topology; expected NODE.field, link.A-B.field or one such as finish_within"),
        ("finish_within=-1 s", 'finish_within: "-1 s" is negative'),
        ("compress=1,10", "compress cannot be varied: times are seconds of a run, so that cells would differ by the"),
        ("name=a,b", "name cannot be varied: patients are drawn by it, so that cells would differ by chance"),
        ("link.north-mian.latency=1 ms", 'link.north-mian.latency: no such link; did you mean "north-main"?'),
        ("link.north-main.latencies=1 ms", 'links.0.latencies: unknown key "latencies"; did you mean "latency"?'),
        ("link.north-main.between=a+b", "link.north-main.between cannot be varied"),
        ("seed=1,2", "seed cannot be varied: every cell gets the same seeds"),
        ("duration=1 h", "duration cannot be varied: every cell runs equally long; see --until"),
        ("ct1.kind=archive", "ct1.kind cannot be varied"),
        ("ris.orders.rates=1 /h", 'nodes.ris.orders.rates: unknown key "rates"; did you mean "rate"?'),
    ],
)
def test_a_mistake_is_told_in_one_line(far, vary, message):
    with pytest.raises(UserError) as refused:
        simlab.plan(far, vary=vary)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vary": [DELAY, DELAY]}, "archive.report_delay is varied twice"),
        ({"replications": 0}, "replications 0: expected 1 at least"),
        ({"workers": 0}, "workers 0: expected 1 at least"),
        ({"warm_up": "1 h"}, "warm-up 1 h: expected less than the whole run of 4 s"),
        ({"sla": "read"}, 'service level "read": expected one such as'),
        ({"sla": "read < 1"}, 'service level "read < 1": expected a duration such as "20 ms", not "1"'),
        ({"sla": ["read < 1 h", "read < 60 min"]}, "a service level is asked for twice"),
        ({"measure": "to_raed_p95"}, 'unknown measure "to_raed_p95"; did you mean "to_read_p95"?'),
        ({"until": "soon"}, "duration: expected a duration"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_run(far, options, message):
    with pytest.raises(UserError, match=message):
        simlab.plan(far, **options)


# ---- service levels


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("read < 1 h", "read < 1 h"),
        ("read<=60min", "read <= 1 h"),
        ("ordered to safe < 2 h", "safe < 2 h"),
        (" acquired  to stored < 600 s", "acquired to stored < 10 min"),
    ],
)
def test_a_service_level_is_read_and_told(text, told):
    assert str(read_service_level(text)) == told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("read", 'service level "read": expected one such as "read < 1 h"'),
        ("", 'service level "": expected one such as'),
        ("red < 1 h", 'unknown milestone "red"; did you mean "read"?'),
        ("failed < 1 h", 'unknown milestone "failed"; expected one of ordered, started'),
        ("read > 1 h", "that is no upper bound; expected one such as"),
        ("read < 1", 'expected a duration such as "20 ms", not "1"'),
        ("stored to acquired < 1 h", "acquired does not come after stored"),
        ("acquired until stored < 1 h", "expected one such as"),
    ],
)
def test_a_wrong_service_level_is_told_in_one_line(text, message):
    with pytest.raises(UserError) as refused:
        read_service_level(text)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
