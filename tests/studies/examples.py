"""Studies to test with."""

from datetime import datetime

from simlab.draws import Draws
from simlab.studies.instances import make_instance
from simlab.studies.patients import make_order
from simlab.studies.protocols import plan_study

SCHEDULED = datetime(2026, 2, 28, 23, 58)
"""Two minutes before midnight: what is counted from here crosses into another day, and month."""


def order(protocol="mr-knee", number=1, seed=1, run_id=""):
    return make_order(Draws(seed), number, protocol=protocol, station="SCANNER", scheduled=SCHEDULED, run_id=run_id)


def study(protocol="mr-knee", number=1, seed=1):
    return plan_study(order(protocol, number, seed), SCHEDULED)


def made(of, series_number, seed=1):
    """All instances of one series of a study."""
    wanted = [index for index in of.indices if of.locate(index)[0].number == series_number]
    return [make_instance(of, index, Draws(seed)) for index in wanted]


def values_of(instance):
    """Stored values, shape (rows, columns)."""
    return instance.pixel_array
