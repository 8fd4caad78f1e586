"""What is imaged: patients, orders, protocols, phantoms, and the DICOM instances made of them."""
