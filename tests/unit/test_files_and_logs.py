import io
import json
import logging

import pytest

from service import files, logs
from service.errors import ServiceError, UnreadableSeries


def test_a_file_is_wholly_there_or_not_at_all(tmp_path):
    path = tmp_path / "a"
    files.write_atomically(path, b"old")

    def pieces():
        yield b"new"
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        files.write_atomically(path, pieces())
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["a"]


def test_what_is_written_is_for_this_account_only(tmp_path):
    folder = files.make_private_dir(tmp_path / "a" / "b")
    files.write_atomically(folder / "f", [b"one", b"two"])
    assert (folder / "f").read_bytes() == b"onetwo"
    assert (folder / "f").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == (tmp_path / "a").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x"])
def test_no_path_leads_out_of_its_folder(tmp_path, name):
    with pytest.raises(ValueError, match="leads out"):
        files.within(tmp_path, name)


def record(name="service.x", message="series_closed", error=None, **extra):
    made = logging.LogRecord(name, logging.INFO, "x.py", 7, message, (), None)
    if error is not None:
        made.exc_info = (type(error), error, error.__traceback__)
    vars(made).update(extra)
    return made


def test_only_allowed_facts_are_written_and_others_are_named():
    line = json.loads(logs.JsonFormatter().format(record(analysis_id=7, patient_name="Doe^Jane")))
    assert (line["event"], line["analysis_id"], line["dropped_keys"]) == ("series_closed", 7, "patient_name")
    assert "Doe" not in json.dumps(line)


def raised(error):
    try:
        raise error
    except (ServiceError, ValueError) as caught:
        return caught


@pytest.mark.parametrize("formatter", [logs.JsonFormatter(), logs.TextFormatter()])
def test_an_exception_is_told_by_type_and_place_without_its_message(formatter):
    line = formatter.format(record(error=raised(ValueError("Doe^Jane"))))
    assert "ValueError at raised" in line
    assert "Doe" not in line


def test_an_error_of_ours_is_told_with_its_code():
    assert "UnreadableSeries[bad_uid]" in logs.TextFormatter().format(
        record(error=raised(UnreadableSeries("x", reason="bad_uid")))
    )


def test_messages_of_libraries_that_quote_values_are_withheld():
    line = logs.TextFormatter().format(record("pydicom.valuerep", "Invalid value for VR DA: '19641x'"))
    assert "19641x" not in line
    assert "pydicom.valuerep:7" in line


def test_a_line_that_cannot_be_written_is_told_without_what_it_said(capsys):
    stream = io.StringIO()
    stream.close()
    handler = logs.StandardError(stream)
    unfilled = record(message="asked for %s %s")
    unfilled.args = ("Doe^Jane",)
    for line in (record(error=raised(ValueError("Doe^Jane"))), unfilled):
        handler.emit(line)
    told = capsys.readouterr().err.splitlines()
    assert told == ["log_line_lost service.x:7 ValueError", "log_line_lost service.x:7 TypeError"]


def test_a_process_without_standard_error_goes_on(monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    handler = logs.StandardError(io.StringIO())
    handler.formatter = logging.Formatter("%(nothing)s")
    handler.emit(record())
