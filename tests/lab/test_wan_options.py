"""What an experiment may be asked for, and what is told in one line."""

import pytest

from simlab.cli import main
from simlab.lab.wan.crossovers import questions
from simlab.lab.wan.options import make_design

MORE = {"instances": 12, "repetitions": 3, "seed": 1, "congestion": "ideal", "window": 4 << 20, "queue": None}


def design(**levels):
    return make_design(levels, **MORE)[0]


def test_text_and_values_mean_the_same():
    text = design(rtt="0,10,50ms", bandwidth="10, 1000 Mbit/s", syntax="explicit,JPEGLSLossless", encode="stored")
    syntaxes = ["explicit", "jpegls"]
    values = design(rtt=[0, 0.01, "50 ms"], bandwidth=[1.25e6, 1.25e8], syntax=syntaxes, encode=["stored"])
    assert text == values
    assert text.rtt == (0.0, 0.01, 0.05)
    assert text.syntax == ("explicit", "jpegls")


def test_each_item_may_have_its_own_unit():
    assert design(bandwidth="512 kbit/s,1,10 Gbit/s").bandwidth == (64e3, 125e6, 1.25e9)


def test_levels_that_come_twice_count_once():
    assert design(syntax="explicit,jpegls,JPEGLSLossless", noise=[1, 1.0]).noise == (1.0,)
    assert design(syntax="explicit,jpegls,JPEGLSLossless").syntax == ("explicit", "jpegls")


def test_which_crossovers_there_are():
    asked = design(syntax="explicit,implicit,jpegls,j2k", encode="stored,per-instance,pipelined", protocol="ct-head")
    found = {(cell.syntax, cell.encode) for cell in questions(asked, (0.0,))}
    assert found == {(syntax, mode) for syntax in ("jpegls", "j2k") for mode in ("per-instance", "pipelined")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--protocol ct-hed", 'unknown protocol "ct-hed": did you mean "ct-head"?'),
        ("--rtt 0,10,50", 'rtt: expected a duration such as "20 ms", not "50"'),
        ("--rtt 5,-1,10ms", 'rtt: expected a duration such as "20 ms", not "-1"'),
        ("--rtt 10Mbit/s", 'rtt: unknown unit "Mbit/s" in "10Mbit/s"'),
        ("--bandwidth 0,10Mbit/s", "bandwidth 0: nothing would ever arrive"),
        ("--bandwidth 10", 'bandwidth: expected a bandwidth such as "100 Mbit/s", not "10"'),
        ("--syntax explicit,jpeg-ls2", 'unknown transfer syntax "jpeg-ls2": did you mean'),
        ("--syntax explicit,hevc", 'syntax "hevc": HEVCMP51 is only negotiated and relayed'),
        ("--associations 0", 'associations "0": expected a whole number from 1 to 1000'),
        ("--outstanding 1,many", 'outstanding "many": expected a whole number from 0 to 65535'),
        ("--encode stord", 'unknown encode "stord": did you mean "stored"?'),
        ("--noise loud", 'noise "loud": expected a multiple of the protocol\'s own, from 0 to 100'),
        ("--noise nan", 'noise "nan": expected a multiple'),
        ("--instances 0", 'argument --instances: "0" is not a whole number from 1'),
        ("--congestion vegas", 'unknown congestion "vegas": expected one of ideal, reno, cubic'),
        ("--backend kernel", 'unknown backend "kernel": expected one of relay, tun'),
        ("--backend tun --congestion ideal", 'congestion: "ideal"; expected cubic or reno with backend tun'),
        ("--window 0B", 'argument --window: "0B" is no size at all'),
        ("--to nobody", 'cannot read the address "nobody": expected AET@host:port'),
        ("--to X@127.0.0.1:1 --instances 1", "X@127.0.0.1:1 takes no connection: Connection refused"),
        ("--to archive --syntax deflated", "deflated data sets cannot be given new UIDs"),
        ("--out pyproject.toml", "cannot write to pyproject.toml: it is a file; expected a folder"),
        ("--syntax explicit,jpeg --protocol ct-head --instances 1", "ct-head in jpeg: JPEGBaseline8Bit takes"),
    ],
)
def test_a_mistake(capsys, arguments, message):
    assert main(["wan", *arguments.split()]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith(f"simlab: {message}")
