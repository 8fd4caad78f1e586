"""What a run of a day or longer shows by the clock: its week, scanner by scanner, and what archives hold."""

from __future__ import annotations

from typing import NamedTuple

from simlab.analysis.hours import Hours, series
from simlab.analysis.profile import Profile
from simlab.analysis.run import Run
from simlab.analysis.stationarity import Window
from simlab.analysis.storage import DAY, stocks
from simlab.report.plan_storage import draw_storage
from simlab.report.plan_weeks import draw_rows, draw_week
from simlab.report.style import Drawing


class Figure(NamedTuple):
    """A picture with its heading."""

    heading: str
    about: str
    drawing: Drawing


def clock_figures(run: Run) -> list[Figure]:
    """The pictures; none for a run that is shorter than a day of the department, or that kept no records."""
    if run.topology.duration * run.topology.compress < DAY or not len(run.studies) or not len(run.records):
        return []
    hours = Hours(run.topology, Window(0.0, run.topology.duration))
    profile = Profile.of(hours, series(run, hours), stocks(run))
    figures = [
        Figure("By the clock", "Means of each hour of the week while orders arrived.", draw_week(profile.weeks)),
        Figure("Scanners and lines by the hour", "In use, as a share of each hour.", draw_rows(profile.weeks)),
    ]
    if profile.stocks:
        drawing = draw_storage(profile.stocks, run.topology.epoch)
        figures.append(Figure("Storage", "Bytes as they were sent, and what is foretold from the last weeks.", drawing))
    return figures
