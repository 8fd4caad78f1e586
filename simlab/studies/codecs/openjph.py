"""OpenJPH, made ready by one thread before any other uses it.

It fills its tables when it is first used, and without a lock: two threads that begin at the same moment may get
codestreams that nobody can decode. An import is done once, and other threads wait for it.
"""

from __future__ import annotations

from typing import Any

import imagecodecs
import numpy as np


def encode(frame: np.ndarray[Any, Any], **how: Any) -> bytes:
    """One image as an HTJ2K codestream; options as :func:`imagecodecs.htj2k_encode` has them."""
    return bytes(imagecodecs.htj2k_encode(frame, **how))


for reversible in (True, False):
    imagecodecs.htj2k_decode(encode(np.arange(64 * 64, dtype=np.int16).reshape(64, 64), reversible=reversible))
