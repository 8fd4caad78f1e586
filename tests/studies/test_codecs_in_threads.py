"""Threads that begin to encode at the same moment, in a process that has not encoded before."""

import subprocess
import sys

import pytest

MANY = 20
"""Processes: a codec that is not ready for this goes wrong in one of twenty or so."""

ENCODE_AT_ONCE = """
import threading
import numpy as np
from simlab.studies.codecs.jpeg2000 import encode_htj2k
from simlab.studies.codecs.options import LossyOptions
from simlab.studies.codecs.pixels import PixelFormat

form = PixelFormat(256, 256, 1, 16, 12, signed=False, photometric="MONOCHROME2")
image = (np.add.outer(np.arange(256), np.arange(256)) * 7 % 4096).astype(np.uint16)
together, encoded = threading.Barrier(8), []

def encode():
    together.wait()
    encoded.append(encode_htj2k(image, form, LossyOptions()))

threads = [threading.Thread(target=encode) for _ in range(8)]
for each in threads:
    each.start()
for each in threads:
    each.join()
assert len(encoded) == 8 and len(set(encoded)) == 1, "the same image is encoded in two ways"
"""


@pytest.mark.slow
def test_htj2k_is_ready_before_threads_use_it():
    for _ in range(MANY):
        subprocess.run([sys.executable, "-c", ENCODE_AT_ONCE], check=True, timeout=60)
