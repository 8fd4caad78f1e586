"""``simlab wan --backend tun``: the experiment over the kernel's own TCP, beside the same over the relay."""

import pytest

import simlab
from lab.test_wan_options import MORE
from simlab.cli import main
from simlab.errors import UserError
from simlab.lab.wan import options
from simlab.lab.wan.options import make_design
from simlab.network.live.relay import tun

REASON = tun.missing()

INSTANCES = 20
ASKED = {
    "protocol": "mr-brain", "rtt": "0,20 ms", "bandwidth": "10,100 Mbit/s", "syntax": "explicit,jpegls",
    "encode": "stored", "instances": INSTANCES, "congestion": "cubic", "crossovers": False,
}  # fmt: skip
CELL = ["rtt", "bandwidth", "syntax"]
FIGURES = ["p50_s", "study_s"]


def alike(kernel, relay):
    """Within what ``make fidelity`` asks of the relay; p50 may be off by 0.5 ms, and so by that for each instance."""
    p50 = relay.p50_s == pytest.approx(kernel.p50_s, rel=0.02, abs=0.5e-3)
    return p50 and relay.study_s == pytest.approx(kernel.study_s, rel=0.03, abs=INSTANCES * 0.5e-3)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(REASON is not None, reason=str(REASON))
def test_both_take_as_long(tmp_path):
    """Others use the machine too, and can only make it slower: the best of two, or of more where that falls short."""
    for repetitions in (2, 4, 6, 8):
        tables = {
            backend: simlab.wan(backend=backend, repetitions=repetitions, out=tmp_path / backend, **ASKED).table
            for backend in ("tun", "relay")
        }
        kernel, relay = (table.groupby(CELL)[FIGURES].min() for table in tables.values())
        print((relay / kernel).to_string())
        cells = zip(kernel.itertuples(), relay.itertuples(), strict=True)
        if not (apart := [one.Index for one, other in cells if not alike(one, other)]):
            break
    assert not apart
    for backend, table in tables.items():
        assert set(table["backend"]) == {backend}
        assert (table["instances"] == INSTANCES).all()
        assert len(table) == 2 * 2 * 2 * repetitions
    assert (tables["tun"]["wire_bytes"] > tables["relay"]["wire_bytes"]).all(), "acknowledgements count"
    assert "of the <b>kernel's TCP</b>" in (tmp_path / "tun" / "wan.html").read_text()
    with pytest.raises(UserError, match="holds an experiment with backend tun, not relay"):
        simlab.wan(out=tmp_path / "tun", **ASKED)


@pytest.fixture
def with_a_bridge(monkeypatch):
    """On whatever machine."""
    monkeypatch.setattr(options, "missing", lambda: None)
    monkeypatch.setattr(options, "unable", lambda settings: None)


@pytest.mark.usefixtures("with_a_bridge")
def test_a_kernel_has_cubic_where_the_relay_has_ideal():
    asked = {**MORE, "congestion": None}
    for backend, congestion in (("relay", "ideal"), ("tun", "cubic")):
        design, settings = make_design({}, **asked, backend=backend)
        assert (settings.backend, settings.congestion) == (backend, congestion)
        assert {"backend": backend, "congestion": congestion}.items() <= dict(design.settings).items()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing", "a bridge of packets (backend: tun) needs root"),
        ("missing", "a bridge of packets (backend: tun) needs Linux"),
        ("unable", "congestion reno: with backend: tun it is the kernel's, one of cubic"),
    ],
)
@pytest.mark.usefixtures("with_a_bridge")
def test_where_there_can_be_none_it_is_refused_in_one_line(monkeypatch, capsys, tmp_path, name, reason):
    monkeypatch.setattr(options, name, lambda *_: reason)
    out = tmp_path / "out"
    assert main(["wan", "--backend", "tun", "--congestion", "reno", "--out", str(out)]) == 2
    assert capsys.readouterr() == ("", f"simlab: {reason}\n")
    assert not out.exists()
