"""``simlab syntaxes``: the transfer syntaxes, and who has to do with each."""

from __future__ import annotations

from rich.table import Table

from simlab.commands.terminal import OK, open_console
from simlab.studies.codecs import CODECS
from simlab.studies.codecs.verified import VERIFIED
from simlab.studies.transfer_syntaxes import ALL, TransferSyntax


def syntaxes() -> int:
    """Print the table."""
    table = Table(box=None, pad_edge=False)
    for heading in ("keyword", "alias", "UID", "lossless", "encoded by", "decoded also by"):
        table.add_column(heading, no_wrap=heading in ("keyword", "alias", "UID"))
    for syntax in ALL:
        lossless = "yes" if syntax.lossless else "no"
        decoders = ", ".join(VERIFIED.get(syntax.alias, ())) or "-"
        table.add_row(syntax.keyword, syntax.alias, syntax.uid, lossless, encoder(syntax), decoders)
    open_console().print(table)
    return OK


def encoder(syntax: TransferSyntax) -> str:
    """Whose code encodes in a transfer syntax here."""
    if syntax.codec:
        return CODECS[syntax.codec].library
    if syntax.encapsulated:
        return "negotiated only"
    return "pydicom, zlib" if syntax.deflated else "pydicom"
