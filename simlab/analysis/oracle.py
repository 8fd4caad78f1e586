"""The oracle: what became of every instance, told by comparing sets of SOP Instance UIDs."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InstanceCounts:
    """Numbers of instances at the end of a run."""

    generated: int = 0
    """Acquired by modalities."""
    derived: int = 0
    """Made from others (reconstructions, results)."""
    stored: int = 0
    """Acknowledged: a C-STORE was answered with success or a warning."""
    committed: int = 0
    """Reported by storage commitment as kept."""
    lost: int = 0
    """Acknowledged, but not retrievable at the end."""
    missing: int = 0
    """Generated or derived, but never acknowledged: whoever made them knows that they did not arrive."""
    false_safe: int = 0
    """Committed, but not retrievable at the end."""
    unexpected: int = 0
    """Retrievable, though nobody generated or derived them."""


def reconcile(
    generated: AbstractSet[str],
    derived: AbstractSet[str],
    acknowledged: AbstractSet[str],
    committed: AbstractSet[str],
    retrievable: AbstractSet[str],
) -> InstanceCounts:
    """Compare what was made with what was promised and with what can be had back (sets of SOP Instance UIDs)."""
    made = generated | derived
    return InstanceCounts(
        generated=len(generated),
        derived=len(derived),
        stored=len(acknowledged),
        committed=len(committed),
        lost=len(acknowledged - retrievable),
        missing=len(made - acknowledged),
        false_safe=len(committed - retrievable),
        unexpected=len(retrievable - made),
    )
