"""The process that touches the images: whatever happens in it, only this process and one attempt are lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from service import files
from service.cli.workshops import recipe_from
from service.errors import LeaseLost, RunnerLost, ServiceError, WorkerEnds
from service.pipeline.attempt import attempt
from service.pipeline.job import Job, JobImage, JobInput
from service.pipeline.references import bundled_models_dir
from service.settings import load
from service.worker.keeper import COMMAND, Keeper, Limits
from tests.make.networks import card_of, endless_network
from tests.make.processes import children, command_line, environment, is_gone, open_files
from tests.make.running import wait_for
from tests.make.series import mr_series
from tests.make.stand_in import HOLD, RUNNER

STAND_IN = (sys.executable, "-m", "tests.make.stand_in", RUNNER)
PLENTY = Limits(deadline_seconds=120, memory_mb=4096)


def greeting(**settings):
    recipe = recipe_from(load(norms=(), **settings)).as_dict()
    return {"recipe": recipe, "log_format": "text", "log_level": "INFO"}


@contextmanager
def keeping(limits=PLENTY, command=STAND_IN, hello=None, **changes):
    """A keeper whose runners are gone afterwards."""
    keeper = Keeper(hello or greeting(), limits, env=os.environ, command=command, **changes)
    try:
        yield keeper
    finally:
        keeper.close()


def job_of(paths, home, number=1):
    """The job of analysing one series."""
    out = home / "results" / "1" / f"attempt-{number}"
    return Job(
        analysis_id=1,
        images=tuple(
            JobImage(path=str(path), sop_instance_uid=path.stem, sha256=files.sha256_of(path))
            for path in paths
        ),
        inputs=(JobInput(role="image", series_uid="1.2.826.0.1.3680043.8.498.1.1", stack=0),),
        input_digest="d",
        receiving=False,
        at=datetime(2026, 1, 2, tzinfo=UTC),
        out=out,
    )


@pytest.fixture
def job(tmp_path):
    return job_of(mr_series(tmp_path / "in"), tmp_path)


def wanted():
    return True


def only_child():
    (pid,) = [pid for pid in children(os.getpid()) if "runner" in command_line(pid)]
    return pid


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@contextmanager
def held(home, keeper, job, *, wanted=wanted):
    """A job that is under way and does not end; what it raised is collected."""
    (home / HOLD).touch()
    raised = []

    def perform():
        try:
            keeper.perform(job, wanted)
        except ServiceError as error:
            raised.append(error)

    thread = threading.Thread(target=perform)
    thread.start()
    try:
        wait_for("the job to begin", (job.out / "capture.dcm").exists)
        yield raised
    finally:
        thread.join(60)
        (home / HOLD).unlink()


def small_network(folder):
    """A network of which nothing but its size matters."""
    folder.mkdir(parents=True)
    card_of(
        folder,
        [np.zeros((3, 8, 8), np.float32)],
        gains=[0.0, 1.0, -1.0],
        patch=[8, 8],
        spacing_mm=[1.5, 1.5],
    )
    return folder


def test_a_runner_writes_what_this_process_would_write_byte_by_byte(tmp_path, job):
    models = small_network(tmp_path / "models" / "small").parent
    recipe = recipe_from(load(models_dir=models, model="small", norms=(), policy="default"))
    shutil.copytree(bundled_models_dir() / "policies", models / "policies")
    hello = {**greeting(), "recipe": recipe.as_dict()}
    with keeping(command=COMMAND, hello=hello) as keeper:
        assert keeper.open() == {"provider": "CPUExecutionProvider", "precision": "fp32", "model": "small"}
        there = keeper.perform(job, wanted)
    seen_there = content(job.out)
    here = attempt(job, recipe())
    assert {"finding.json", "sr.dcm", "capture.dcm"} <= set(seen_there)
    assert content(job.out) == seen_there
    assert json.loads(json.dumps(here.finding)) == there.finding
    assert (here.written, here.input_digest) == (there.written, there.input_digest)


@pytest.mark.parametrize(
    ("limits", "side", "reason"),
    [
        (Limits(deadline_seconds=2, memory_mb=4096), 1200, "runner_deadline"),
        # A square of 784 MB.
        (Limits(deadline_seconds=120, memory_mb=700), 14000, "runner_memory"),
    ],
)
def test_a_network_that_never_answers_or_takes_too_much_loses_its_runner(tmp_path, job, limits, side, reason):
    models = endless_network(tmp_path / "models" / "endless", side=side).parent
    shutil.copytree(bundled_models_dir() / "policies", models / "policies")
    with keeping(limits, COMMAND, greeting(models_dir=models, model="endless")) as keeper:
        keeper.open()
        runner = only_child()
        with pytest.raises(RunnerLost) as lost:
            keeper.perform(job, wanted)
        assert lost.value.reason.code == reason
        assert is_gone(runner)


def test_a_job_that_hangs_is_ended_and_the_next_gets_a_fresh_runner(tmp_path, job):
    with keeping(Limits(deadline_seconds=4, memory_mb=4096)) as keeper:
        keeper.open()
        first = only_child()
        with held(tmp_path, keeper, job) as raised:
            pass
        assert [error.reason.code for error in raised] == ["runner_deadline"]
        keeper.perform(job, wanted)
        second = only_child()
        assert second != first
        keeper.perform(job, wanted)
        assert only_child() == second
    wait_for("the runner to be gone", lambda: is_gone(second))


def test_a_crash_takes_the_runner_and_its_reason_names_the_signal(tmp_path, job):
    with keeping() as keeper:
        keeper.open()
        with held(tmp_path, keeper, job) as raised:
            os.kill(only_child(), signal.SIGSEGV)
        (error,) = raised
        assert error.reason.code == "runner_crashed"
        assert "SIGSEGV" in error.reason.text
        # One that dies while it waits costs no attempt.
        keeper.perform(job, wanted)
        waiting = only_child()
        os.kill(waiting, signal.SIGKILL)
        os.waitid(os.P_PID, waiting, os.WEXITED | os.WNOWAIT)
        assert keeper.perform(job, wanted).finding["status"] == "measured"


def test_work_that_nobody_wants_any_more_is_ended(tmp_path, job):
    lost = threading.Event()
    before = set(children(os.getpid()))
    with keeping(finish_seconds=0.5) as keeper:
        with held(tmp_path, keeper, job, wanted=lambda: not lost.is_set()) as raised:
            lost.set()
        assert [type(error) for error in raised] == [LeaseLost]
        with held(tmp_path, keeper, replace(job, out=tmp_path / "results/1/attempt-2")) as raised:
            keeper.stop_soon()
        assert [type(error) for error in raised] == [WorkerEnds]
        assert set(children(os.getpid())) - before == set()
        with pytest.raises(WorkerEnds):
            keeper.perform(job, wanted)


def test_a_runner_knows_no_setting_no_secret_and_no_database_and_dies_with_its_worker(
    tmp_path, make_settings
):
    settings = make_settings()
    environment_of_worker = {
        **os.environ,
        "MYOSCREEN_HOME": str(settings.home),
        "MYOSCREEN_DICOM_PORT": str(settings.dicom_port),
        "MYOSCREEN_DATABASE_URL": settings.resolved_database_url,
    }
    log = (tmp_path / "worker.log").open("wb")
    with (
        log,
        subprocess.Popen(
            [sys.executable, "-m", "tests.make.stand_in"], env=environment_of_worker, stdout=log, stderr=log
        ) as worker,
    ):
        try:
            (runner,) = wait_for("the runner", lambda: children(worker.pid), seconds=30)
            wait_for("it to be ready", lambda: b"worker_ready" in (tmp_path / "worker.log").read_bytes())
            assert [name for name in open_files(worker.pid) if "myoscreen.db" in name]
            assert [name for name in environment(runner) if name.startswith("MYOSCREEN_")] == []
            assert [name for name in open_files(runner) if "myoscreen.db" in name] == []
            assert Path(f"/proc/{runner}/oom_score_adj").read_text().strip() == "1000"
        finally:
            worker.send_signal(signal.SIGKILL)
    wait_for("the runner to die too", lambda: is_gone(runner), seconds=20)


def test_a_network_that_is_not_there_is_told_at_the_start(tmp_path):
    with keeping(command=COMMAND, hello=greeting(models_dir=tmp_path)) as keeper:
        with pytest.raises(ServiceError) as told:
            keeper.open()
        assert told.value.reason.code == "model_missing"
