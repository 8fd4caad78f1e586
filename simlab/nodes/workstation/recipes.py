"""What a workstation makes of a study, by name."""

REFORMAT = "reformat"
"""A coronal multi-planar reformat of the first axial series: new series, same study."""

KEY_OBJECTS = "key objects"
"""A Key Object Selection of a few images."""
