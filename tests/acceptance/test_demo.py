"""`myoscreen demo --once`, as `make demo ONCE=1` calls it."""

from tests.make.running import RunningService, free_port


def test_the_demonstration_comes_to_its_end_and_says_where_the_time_went(tmp_path):
    settings = {"home": tmp_path / "home", "dicom_port": free_port(), "http_port": free_port()}
    environment = {f"MYOSCREEN_{name.upper()}": str(value) for name, value in settings.items()}
    service = RunningService(tmp_path, settings["dicom_port"], settings["http_port"], environment)
    done = service.command("demo", "--once", "--archive-port", str(free_port()))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PDF, SC, SEG, SR delivered (4 objects arrived now)" in done.stdout
    assert done.stdout.count("time:") == 3
    assert f"http://127.0.0.1:{settings['http_port']}/analyses/1" in done.stdout
    assert done.stdout.count("one-time password") == 1
    assert "PHANTOM" not in done.stdout + done.stderr
