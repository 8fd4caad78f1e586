"""Measurements of a WAN experiment that nobody made: the closed form, with noise."""

from dataclasses import asdict, replace

import pandas as pd

from simlab.analysis.closed_form import EncodeMode, Encoding, Path, Way, Work, study_time
from simlab.analysis.experiment import COLUMNS, Design, Measurement
from simlab.draws import Draws

MEGABIT = 1e6 / 8
ENCODINGS = {
    "explicit": Encoding(526e3),
    "jpegls": Encoding(132e3, 0.005),
    "j2k": Encoding(130e3, 0.025),
}

DESIGN = Design(
    protocol=("ct-head",),
    noise=(1.0,),
    rtt=(0.0, 0.05),
    bandwidth=(10 * MEGABIT, 1000 * MEGABIT),
    syntax=tuple(ENCODINGS),
    associations=(1,),
    outstanding=(1,),
    encode=("per-instance",),
    repetitions=3,
    seed=1,
    settings=(("instances", 12), ("congestion", "ideal"), ("window", 4 << 20)),
)


def measured(trial, noise=0.01):
    cell = trial.cell
    instances = 12
    encoding = ENCODINGS[cell.syntax]
    work = Work(instances, encoding, 0.0004, 0.005)
    way = Way(cell.associations, cell.outstanding, EncodeMode(cell.encode))
    told = study_time(Path(cell.rtt, cell.bandwidth), work, way)
    study = told.total * (1 + noise * Draws(7).uniform("noise", f"{cell.key} {trial.repetition}", -1, 1))
    sent = int(instances * encoding.size)
    return Measurement(
        **asdict(cell),
        backend="relay",
        repetition=trial.repetition,
        instances=instances,
        study_s=study,
        p50_s=study / instances,
        p95_s=study / instances,
        payload_bytes=int(instances * 526e3),
        sent_bytes=sent,
        wire_bytes=sent * 1.04,
        ratio=526e3 / encoding.size,
        encode_s=encoding.encode,
        encode_cpu_s=encoding.encode * instances,
        decode_cpu_s=0.1,
        throughput=instances * 526e3 / study,
        share=sent * 1.04 / study / cell.bandwidth,
        predicted_s=told.total,
        measured_over_predicted=study / told.total,
        setup_part_s=told.setup,
        round_trips_part_s=told.round_trips,
        wire_part_s=told.wire,
        codec_part_s=told.codec,
        server_part_s=told.server,
        calibrated_encode_s=encoding.encode,
        calibrated_server_s=0.0004,
        relay_late_s=0.0002,
        sender_cpu=0.1,
        valid=True,
        remarks="",
        started_at="2026-01-15T08:00:00.000",
    )


def fake_table(design=DESIGN, noise=0.01):
    return pd.DataFrame([asdict(measured(trial, noise)) for trial in design.trials()], columns=list(COLUMNS))


def larger(**changes):
    return replace(DESIGN, **changes)
