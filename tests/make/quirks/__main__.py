"""`python -m tests.make.quirks` writes the tables into docs/reference/inputs.md."""

from pathlib import Path

from tests.make.quirks.told import BEGIN, told

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "inputs.md"

if __name__ == "__main__":
    text = PAGE.read_text("utf-8")
    PAGE.write_text(text.partition(BEGIN)[0] + BEGIN + "\n" + told(), "utf-8")
