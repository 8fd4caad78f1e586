"""Departments with appointments: what is ordered is the same in both worlds, and nobody waits for who does not come."""

import pytest

from lab.samples import TINY, tiny_lab
from simlab.analysis.remarks import remarks_table

APPOINTMENTS = """\
    kind: worklist
    ae_title: RIS
    streams:
      emergency: {rate: 2 /h, hours: emergency, mix: {ct-head: 1}}
    appointments:
      outpatients:
        scanners: [ct1]
        open: 08:00-10:00
        slot: 30 min
        no_shows: 50 %
        lateness: {sd: 5 min}
        mix: {ct-head: 1}
"""


def lab():
    ris = "{kind: worklist, ae_title: RIS, orders: {rate: 3600 /h, count: 1, mix: {ct-head: 1}}}"
    return tiny_lab(TINY.replace(f"    {ris}\n", APPOINTMENTS).replace("compress: 6000", "compress: 7200"))


def told(result):
    """What arrived, and who did not."""
    records = result.records
    came, missed = (records[records["operation"] == operation] for operation in ("ordered", "no-show"))
    return sorted(zip(came["study"], came["comment"], strict=True)), list(missed["peer"])


def test_a_run_is_over_although_somebody_did_not_come():
    result = lab().run("virtual")
    ordered, missed = told(result)
    assert result.ok, result.run.notices
    assert set(missed) == {"ct1"}
    assert len(ordered) > 2
    assert set(result.study_table()["outcome"]) == {"complete"}
    remarks = remarks_table(result.records)
    assert list(remarks.loc[remarks["remark"] == "no-show", "count"]) == [len(missed)]


@pytest.mark.slow
def test_both_worlds_order_alike():
    live = lab().run(in_process=True)
    assert live.ok, live.run.notices
    assert told(live) == told(lab().run("virtual"))
