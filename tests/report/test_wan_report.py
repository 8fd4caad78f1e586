"""Pictures and the page of a WAN experiment say what was measured."""

import re

import pandas as pd
import pytest
from analysis.fake_wan import DESIGN, MEGABIT, fake_table, larger

from simlab.analysis.comparison import best_syntaxes, cell_table, speed_ups
from simlab.report.wan_console import wan_tables
from simlab.report.wan_figures import draw_best, draw_crossovers, draw_parts, draw_speed_ups
from simlab.report.wan_page import Experiment, crossover_line, render_wan

CROSSOVERS = pd.DataFrame([
    {
        "protocol": "ct-head", "noise": 1.0, "rtt": 0.02, "encode": "per-instance", "default": "explicit",
        "syntax": syntax, "bandwidth": bandwidth * MEGABIT, "low": bandwidth * 0.9 * MEGABIT,
        "high": bandwidth * 1.1 * MEGABIT, "predicted": 640 * MEGABIT,
        "measured_over_predicted": 1.0,
    }
    for syntax, bandwidth in (("jpegls", 630.0), ("j2k", 130.0), ("rle", float("inf")), ("sv1", 0.0))
])  # fmt: skip


def experiment(design=DESIGN, **more):
    table = fake_table(design)
    told = {"instances": 12, "congestion": "ideal", "window": 4 << 20, "to": "discard", "seed": 1}
    values = {
        "table": table, "cells": cell_table(table), "best": best_syntaxes(table, "explicit"),
        "speed_ups": speed_ups(table, "explicit"), "crossovers": CROSSOVERS, "default": "explicit", "settings": told,
        "complete": True,
    } | more  # fmt: skip
    return Experiment(**values)


def words(drawing):
    return re.findall(r"<text[^>]*>([^<]*)</text>", drawing.svg())


def test_the_map_names_the_best_and_its_gain():
    said = words(draw_best(experiment().best))
    assert {"jpegls", "explicit", "ct-head", "10 Mbit/s", "1 Gbit/s", "0 ms", "50 ms", "round trip"} <= set(said)
    gain = experiment().best["speed_up"].max()
    assert f"{gain:.1f} times" in said
    assert gain > 3


def test_the_map_has_a_panel_for_each_condition():
    design = larger(noise=(1.0, 2.0), associations=(1, 4))
    said = words(draw_best(experiment(design).best))
    for noise in (1, 2):
        for associations in (1, 4):
            assert f"ct-head, noise {noise}, {associations} associations" in said


def test_crossovers_are_told_in_numbers_too():
    said = words(draw_crossovers(CROSSOVERS))
    assert {"630 Mbit/s", "130 Mbit/s", "predicted", "measured, 95 % interval", "at all tried"} <= set(said)
    assert "jpegls  ct-head, 20 ms" in said


def test_speed_ups_name_what_they_are_compared_with():
    said = words(draw_speed_ups(experiment().speed_ups, "explicit"))
    assert {"times as fast as explicit", "jpegls", "j2k", "ct-head, round trip 50 ms"} <= set(said)


def test_a_single_link_can_be_drawn_too():
    table = fake_table(larger(rtt=(0.0,), bandwidth=(10 * MEGABIT,)))
    told = experiment(table=table, cells=cell_table(table), best=best_syntaxes(table, "explicit"))
    for drawing in (draw_best(told.best), draw_speed_ups(speed_ups(table, "explicit"), "explicit"), draw_parts(table)):
        assert "10 Mbit/s" in "".join(words(drawing))


@pytest.mark.parametrize("kept", [1, 2, 3, 5, 9])
def test_what_was_measured_before_an_interruption_can_be_drawn(kept):
    """Whatever order cells come in: of some conditions there is one transfer syntax, or nothing at all."""
    for seed in range(6):
        table = fake_table(DESIGN).sample(kept, random_state=seed)
        part = experiment(
            table=table, cells=cell_table(table), best=best_syntaxes(table, "explicit"),
            speed_ups=speed_ups(table, "explicit"), complete=False,
        )  # fmt: skip
        assert "interrupted" in render_wan(part)


def test_a_prediction_without_end():
    row = {**CROSSOVERS.iloc[0], "predicted": float("inf")}
    assert crossover_line(row).endswith("predicted at every bandwidth).")
    assert "630 Mbit/s" in words(draw_crossovers(pd.DataFrame([row])))


def test_parts_add_up_to_what_was_predicted():
    drawing = draw_parts(fake_table(noise=0))
    said = words(drawing)
    assert {"round trips", "bytes on the wire", "encoding", "server", "measured", "seconds"} <= set(said)
    panel = next(axes for axes in drawing.axes if axes.get_title(loc="left") == "10 Mbit/s, 50 ms")
    end = max(patch.get_x() + patch.get_width() for patch in panel.patches)
    marks = [line.get_xdata()[0] for line in panel.lines if len(line.get_xdata())]
    assert end == pytest.approx(max(marks))


def test_the_same_picture_every_time():
    assert draw_best(experiment().best).svg() == draw_best(experiment().best).svg()


def test_the_page_makes_the_point():
    page = render_wan(experiment())
    assert "Nothing beats explicit for ct-head over 1 Gbit/s and 0" in page
    assert "jpegls (ct-head, per-instance, 20 ms) pays up to 630 Mbit/s" in page
    assert "(95 % interval 567 Mbit/s to 693 Mbit/s; 640 Mbit/s predicted)." in page
    assert "rle (ct-head, per-instance, 20 ms) pays at every bandwidth that was tried." in page
    assert "sv1 (ct-head, per-instance, 20 ms) pays at no bandwidth that was tried." in page
    assert page.count("<svg") == 4
    assert "http" not in re.sub(r'xmlns(:xlink)?="[^"]*"', "", page)
    assert "measurements tell of the lab" not in page


def test_doubtful_measurements_are_told():
    table = fake_table()
    table.loc[:1, "valid"] = False
    table.loc[:1, "remarks"] = "the relay was 9.0 ms late"
    page = render_wan(experiment(table=table))
    assert "2 of 36 measurements tell of the lab as much as of the link. 2 in which the relay was late." in page


def test_the_terminal_gets_the_verdict(capsys):
    from rich.console import Console

    Console(width=160).print(wan_tables(experiment(complete=False)))
    lines = capsys.readouterr().out.splitlines()
    rows = [re.split(r" {2,}", line.strip()) for line in lines]
    assert ["ct-head", "0 ms", "1 Gbit/s", "explicit"] in [row[:4] for row in rows]
    gain = experiment().best["speed_up"].max()
    assert ["ct-head", "0 ms", "10 Mbit/s", "jpegls", f"{gain:.2f}"] in [[*row[:4], row[-1]] for row in rows]
    assert lines[-1].startswith("interrupted")
