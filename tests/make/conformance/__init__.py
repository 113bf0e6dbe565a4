"""The DICOM conformance statement: template.md, with tables of the constants that the program runs with."""
