"""A network lab for DICOM, on one laptop."""
