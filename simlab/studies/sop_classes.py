"""The storage SOP classes of what simlab makes (PS3.4 annex B.5)."""

from pydicom.uid import CTImageStorage, KeyObjectSelectionDocumentStorage, MRImageStorage

CT_IMAGE = str(CTImageStorage)
MR_IMAGE = str(MRImageStorage)
KEY_OBJECT_SELECTION = str(KeyObjectSelectionDocumentStorage)

STORAGE_CLASSES = (CT_IMAGE, MR_IMAGE, KEY_OBJECT_SELECTION)
"""Everything that our modalities and workstations make; a C-GET is prepared to receive these."""
