"""Crossovers that were found are kept, whatever a kill has left of the last one."""

from dataclasses import replace

from simlab.lab.wan.crossovers import FILE, Crossover, Found

ONE = Crossover(
    "ct-head", 1.0, 0.0, "per-instance", "explicit", "jpegls", 1e7, 9e6, 1.1e7, 1e7, 1e7, 1.0, 0.001, 1e3, 8
)


def test_a_line_that_was_cut_short_is_found_again(tmp_path):
    Found(tmp_path).append(ONE)
    with (tmp_path / FILE).open("a") as file:
        file.write('{"protocol": "mr-br')
    again = Found(tmp_path)
    assert again.frame()["syntax"].tolist() == ["jpegls"]
    again.append(replace(ONE, syntax="j2k"))
    assert Found(tmp_path).frame()["syntax"].tolist() == ["jpegls", "j2k"]
