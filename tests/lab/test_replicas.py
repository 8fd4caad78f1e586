"""``count`` of a scanner at work, in both worlds: its orders and its appointment grid are for all replicas."""

import pytest

from lab.samples import TINY, tiny_lab

SHARED = TINY.replace("count: 1, mix: {ct-head: 1}", "count: 4, scanners: [ct1], mix: {ct-head: 1}").replace(
    "ae_title: CT1,", "ae_title: CT1, count: 2,"
)

GRID = (
    TINY.replace(
        "orders: {rate: 3600 /h, count: 1, mix: {ct-head: 1}}",
        'appointments: {day: {scanners: [ct1], open: 08:00-10:00, slot: 15 min, mix: {ct-head: 1}}}, callers: "any"',
    )
    .replace("compress: 6000", "compress: 600\nepoch: 2026-01-15T07:55")
    .replace("duration: 1 s", "duration: 13 s")
)


@pytest.mark.parametrize("world", ["virtual", pytest.param("live", marks=pytest.mark.slow)])
def test_replicas_share_what_is_for_the_first(world):
    result = tiny_lab(SHARED).run(world, in_process=True, until=4.0)
    studies = result.study_table()
    assert result.ok
    assert studies["node"].value_counts().to_dict() == {"ct1": 2, "ct1-2": 2}


def test_each_replica_has_the_grid_to_itself():
    """Whoever had an appointment with the first scanner has it still."""
    alone = tiny_lab(GRID).run("virtual").study_table()
    both = tiny_lab(GRID.replace("ae_title: CT1,", "ae_title: CT1, count: 2,")).run("virtual").study_table()
    assert both["node"].value_counts().to_dict() == {"ct1": 8, "ct1-2": 8}
    assert both.loc[both["node"] == "ct1", "ordered"].tolist() == alone["ordered"].tolist()
