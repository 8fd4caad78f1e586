"""What nodes did wrong as their fault plan says, and what they noticed: counted, since it may be much."""

from __future__ import annotations

import pandas as pd

from simlab.records import REMARKS

REMARK_COLUMNS = ("remark", "node", "peer", "what", "count", "first", "last")


def remarks_table(records: pd.DataFrame) -> pd.DataFrame:
    """One row for each kind of remark, node, peer and comment, in the order in which they first came.

    Columns: ``remark`` (one of ``records.REMARKS``), ``node``, ``peer``, ``what`` (the comment without what it is
    about), ``count``, ``first`` and ``last`` (run seconds).
    """
    remarks = records[records["operation"].isin(REMARKS)].astype({"comment": "str"})
    about_something = remarks["operation"].isin(["fault", "report"])
    what = remarks["comment"].mask(about_something, remarks["comment"].str.split(":").str[0])
    grouped = remarks.assign(remark=remarks["operation"], what=what).groupby(
        ["remark", "node", "peer", "what"], sort=False
    )["finished"]
    table = grouped.agg(["count", "min", "max"]).reset_index().rename(columns={"min": "first", "max": "last"})
    return table.sort_values("first", kind="stable", ignore_index=True).reindex(columns=list(REMARK_COLUMNS))
