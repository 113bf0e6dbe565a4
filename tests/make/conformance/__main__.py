"""`python -m tests.make.conformance` writes docs/reference/dicom-conformance.md."""

from tests.make.conformance.page import PAGE, told

if __name__ == "__main__":
    PAGE.write_text(told(), "utf-8")
