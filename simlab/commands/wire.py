"""Commands about one AE or none: ask whether it is there, load it, make files to send."""

from __future__ import annotations

from json import dumps
from pathlib import Path

from simlab.commands.sending import Sending, load_table
from simlab.commands.terminal import (
    NOT_WELL,
    OK,
    complain,
    expect_to_write,
    interrupted_once,
    open_console,
    say,
    told_to_stop,
    write_atomically,
)
from simlab.errors import UserError
from simlab.lab.addresses import parse_address
from simlab.lab.echo import echo as send_echo
from simlab.lab.send import Load
from simlab.lab.send import send as send_load
from simlab.network.live.directory import Peer
from simlab.network.live.sending.train import MOST_OUTSTANDING
from simlab.studies.generate import generate as generate_study
from simlab.studies.templates import TEMPLATES
from simlab.studies.transfer_syntaxes import EXPLICIT, named


def echo(address: str, *, calling: str, timeout: float) -> int:
    """Send a C-ECHO and say how long the answer took."""
    outcome = send_echo(calling, parse_address(address), timeout)
    if not outcome.ok:
        reason = ": ".join(part for part in (outcome.trouble.value, outcome.comment) if part)
        complain(f"{address}: {reason or f'status {outcome.status:04X}H'}")
        return NOT_WELL
    say(f"{address} answered in {(outcome.finished - outcome.started) * 1000:.3g} ms")
    return OK


def send(
    source: str, *, peer: Peer, instances: int | None, calling: str, associations: int | None, processes: int,
    syntax: str | None, outstanding: int, rate: float | None, timeout: float, seed: int | None, json: Path | None,
) -> int:  # fmt: skip
    """Send a load, with progress, and tell what came of it."""
    if syntax is not None and source not in TEMPLATES:
        raise UserError("--syntax is for what is made; files are sent as they are")
    if associations is not None and associations < processes:
        raise UserError(f"{associations} associations for {processes} processes; expected at least one for each")
    if outstanding > MOST_OUTSTANDING:
        raise UserError(f"--outstanding {outstanding}: expected {MOST_OUTSTANDING} at most, or 0 for any number")
    if rate == 0:
        raise UserError("--rate 0: nothing would ever be sent")
    if json is not None:
        expect_to_write(json)
    load = Load(
        source, peer, calling, instances, associations, processes, named(syntax or EXPLICIT.uid).uid,
        outstanding, rate, timeout, seed,
    )  # fmt: skip
    with interrupted_once(), Sending(open_console(stderr=True)) as progress:
        report = send_load(load, progress, told_to_stop)
    open_console().print(load_table(report.figures()))
    for trouble in dict.fromkeys(report.troubles):
        complain(trouble)
    if json is not None:
        write_atomically(json, dumps(report.figures(), indent=2) + "\n")
    return OK if report.ok else NOT_WELL


def generate(protocol: str, *, out: Path, seed: int, syntax: str) -> int:
    """Write a synthetic study as DICOM files."""
    with open_console().status(f"making {protocol}"):
        study = generate_study(protocol, out, seed=seed, syntax=named(syntax))
    say(f"{study.count} instances of {study.order.patient.id} in {out}")
    return OK
