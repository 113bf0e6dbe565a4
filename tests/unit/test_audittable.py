"""The audit record written out: every line, and nothing that a spreadsheet would run."""

import csv
import json

from service.core.audittable import COLUMNS, written

LINE = dict.fromkeys(COLUMNS) | {"id": 7, "actor": "=1+1", "action": "login", "detail": {"b": 1, "a": 'x,"y'}}


def test_a_table_has_a_head_and_a_line_each_and_no_formula():
    (found, bare) = csv.DictReader(written([LINE, {**LINE, "detail": None, "actor": "otto"}], "csv"))
    assert tuple(found) == COLUMNS
    assert (found["id"], found["actor"], found["outcome"]) == ("7", "'=1+1", "")
    assert json.loads(found["detail"]) == LINE["detail"]
    assert (bare["actor"], bare["detail"]) == ("otto", "")


def test_as_json_each_line_is_what_it_was():
    assert [json.loads(line) for line in written([LINE, LINE], "json")] == [LINE, LINE]
    assert list(written([], "csv")) == [",".join(COLUMNS) + "\n"]
