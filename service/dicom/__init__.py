"""The DICOM room: only here pydicom, pynetdicom and highdicom are used."""
