"""Workers take what is in force, without a restart, and nothing else."""

import gc
import os
import re
import shutil
import weakref
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Barrier, BrokenBarrierError, Thread

import numpy as np
import pytest
from sqlalchemy import select

from service import files
from service.core.activation import Kind
from service.db import activating
from service.db.session import make_sessions, reading
from service.db.tables import Analysis, Base, ReplayOrder
from service.dicom.spool import Spool
from service.errors import ModelMismatch, NotAsActivated, ServiceError
from service.inference.card import read_card
from service.pipeline import activation, replay, run, sweep
from service.pipeline.close import Closing
from service.pipeline.equipment import describe
from service.pipeline.inforce import InForce
from service.pipeline.job import Job, JobImage, JobInput, JobTools, Outcome
from service.pipeline.recipe import WorkshopRecipe
from service.pipeline.smoke import try_network
from service.pipeline.toolbox import Toolbox
from service.settings import bare_environment
from service.worker import main, runner, tasks
from service.worker.keeper import COMMAND, Keeper, Limits
from tests.make.activating import NAMES, Installation, models_folder
from tests.make.networks import card_of
from tests.make.peers import fake_peer
from tests.make.received import NOW, ready_analysis, take_in
from tests.make.series import mr_series

QUIET, CAP = timedelta(seconds=60), timedelta(minutes=30)
SMALL = {Kind.NETWORK: "small", Kind.NORMS: "", Kind.POLICY: "default", Kind.RULES: "default"}
KINDS = (Kind.NETWORK, Kind.NORMS, Kind.POLICY)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Two networks of which nothing but their size matters, beside what ships."""
    folder = models_folder(tmp_path_factory.mktemp("models") / "m")
    for name, offset in (("small", 0.0), ("other", 0.5)):
        (folder / name).mkdir()
        card_of(
            folder / name,
            [np.full((3, 8, 8), offset, np.float32)],
            gains=[0.0, 1.0, -1.0],
            patch=[8, 8],
            spacing_mm=[1.5, 1.5],
        )
    card = folder / "other" / "card.toml"
    card.write_text(card.read_text("utf-8").replace('"small"', '"other"'), "utf-8")
    return folder


class Site:
    """A worker and its database."""

    def __init__(self, sessions, template, home):
        self.sessions, self.home, self.now = sessions, home, NOW
        folder = home / "models"
        shutil.copytree(template, folder, copy_function=os.link)
        self.here = Installation(folder=folder, now=NOW)
        activation.take_up_settings(sessions, self.here.site, now=NOW)
        self.in_force = InForce(sessions, self.here.site, hard_cap=CAP)
        self.seen = []
        self.refuse = None

    def activate(self, kind, name):
        return activation.propose(self.sessions, self.here.site, kind, name, self.here.by())

    @property
    def bench(self):
        return run.Bench(
            home=self.home,
            spool=Spool(self.home / "spool"),
            destinations=[fake_peer().destination()],
            terms=run.Terms(max_attempts=1, retry_after=timedelta(seconds=5), beat_seconds=60),
            owner="worker",
            clock=lambda: self.now,
            in_force=self.in_force,
        )

    def perform(self, job, _wanted):
        self.seen.append(job.tools)
        if self.refuse is not None:
            raise self.refuse
        return Outcome(input_digest=job.input_digest, finding=None, seconds={})

    def run(self, analysis_id):
        """Take it, and let it wait again."""
        self.now += timedelta(seconds=10)
        run.run(self.sessions, analysis_id, self.perform, self.bench)

    def row(self):
        with reading(self.sessions) as db:
            row = db.scalars(select(Analysis)).one()
            return row.state, row.attempt


@pytest.fixture
def site(template, tmp_path):
    sessions = make_sessions(f"sqlite:///{tmp_path / 'home' / 'myoscreen.db'}")
    Base.metadata.create_all(sessions.kw["bind"])
    yield Site(sessions, template, tmp_path / "home")
    sessions.kw["bind"].dispose()


def rewrite(path, content):
    """Another file of this name; the one that was may have other names too."""
    path.unlink()
    path.write_bytes(content)


def tools_of(folder, names):
    """What is in force where these are."""
    network, norms, policy = (describe(kind, names[kind], folder).sha256 for kind in KINDS)
    return JobTools(
        model=names[Kind.NETWORK],
        norms=tuple(part for part in names[Kind.NORMS].split(",") if part),
        policy=names[Kind.POLICY],
        hashes=(network, norms, policy),
    )


def test_an_analysis_is_done_with_what_is_in_force_when_it_is_claimed(site):
    number = ready_analysis(site.sessions)
    site.run(number)
    site.activate(Kind.POLICY, "strict")
    site.run(number)
    site.activate(Kind.NORMS, "")
    site.activate(Kind.NETWORK, "next")
    site.run(number)
    later = {**NAMES, Kind.POLICY: "strict"}
    latest = {**later, Kind.NORMS: "", Kind.NETWORK: "next"}
    assert site.seen == [tools_of(site.here.folder, names) for names in (NAMES, later, latest)]


def test_a_claim_beside_an_activation_takes_the_one_or_the_other_whole(postgres, template, tmp_path):
    """On PostgreSQL, where both are under way at once."""
    sessions = make_sessions(postgres.new_database())
    Base.metadata.create_all(sessions.kw["bind"])
    site = Site(sessions, template, tmp_path / "home")
    number = ready_analysis(sessions)
    thing = describe(Kind.NETWORK, "next", site.here.folder)
    with sessions.begin() as db:
        activating.submit(db, thing, site.here.by())
        # A claim does not wait for it, and takes name and hash of the same line.
        thread = Thread(target=site.run, args=[number])
        thread.start()
        thread.join(20)
        assert not thread.is_alive()
    site.run(number)
    names = [NAMES, {**NAMES, Kind.NETWORK: "next"}]
    assert site.seen == [tools_of(site.here.folder, each) for each in names]
    sessions.kw["bind"].dispose()


class Bell:
    """A doorbell that nobody hears."""

    def __init__(self):
        self.rung = []

    def ring(self, task, row_id):
        self.rung.append((task, row_id))


def test_while_a_file_is_another_one_than_was_activated_analyses_wait(site, caplog):
    number = ready_analysis(site.sessions)
    path = site.here.folder / "policies" / "default.toml"
    before = path.read_bytes()
    rewrite(path, before + b"\n# changed\n")
    bell, work = Bell(), _work(site)
    with site.sessions.begin() as db:
        order = ReplayOrder(analysis_id=number, actor="otto", ordered_at=site.now)
        db.add(order)
    for _ in range(3):
        tasks.analyse(work, bell, number)
        tasks.replay(work, order.id)
    assert (site.row(), site.seen, bell.rung) == (("ready", 0), [], [])
    told = [record for record in caplog.records if record.getMessage() == "not_as_activated"]
    assert [record.code for record in told] == ["activated_file_changed"]
    with reading(site.sessions) as db:
        assert (db.get(ReplayOrder, order.id).attempt, db.get(ReplayOrder, order.id).finished_at) == (0, None)
    rewrite(path, before)
    tasks.analyse(work, bell, number)
    assert len(site.seen) == 1


def _work(site):
    """What the tasks of a worker share."""
    terms = sweep.Terms(
        closing=Closing(quiet=QUIET, hard_cap=CAP),
        lease_seconds=60,
        max_attempts=1,
        delivery_attempts=1,
        peers=(),
    )
    sweeper = sweep.Sweeper(
        site.sessions, Spool(site.home / "spool"), terms, home=site.home, clock=lambda: site.now
    )
    return tasks.Work(
        sessions=site.sessions,
        perform=site.perform,
        bench=site.bench,
        sweeper=sweeper,
        delivery_terms=None,
        confirm_terms=None,
        slots=1,
    )


class Runners:
    """Where the first one is opened."""

    def __init__(self):
        self.opened = []

    def open(self, tools):
        self.opened.append(tools)
        return {"model": tools.model}


def test_a_worker_starts_beside_a_changed_file_and_opens_no_network_with_it(site):
    """Results that are there still go out."""
    runners = Runners()
    assert main._opened(runners, site.sessions, site.here.site) == {"model": "paraspinal"}
    assert runners.opened == [tools_of(site.here.folder, NAMES)]
    rewrite(site.here.folder / "policies" / "default.toml", b"id = 1")
    assert main._opened(runners, site.sessions, site.here.site) == {"code": "not_as_activated"}
    assert len(runners.opened) == 1


def test_an_analysis_whose_runner_finds_another_file_is_given_back_and_not_counted(site):
    """The file may change between the look and the runner that opens it."""
    number = ready_analysis(site.sessions)
    site.refuse = ServiceError("Policy default is not the one.", reason="activated_file_changed")
    site.run(number)
    assert site.row() == ("ready", 0)
    site.refuse = ServiceError("A fault.", reason="runner_crashed")
    site.run(number)
    assert site.row() == ("failed", 1)


def test_rules_and_network_are_taken_up_by_the_sweep(site, tmp_path):
    assert site.in_force.choosing().rules.reference == "default@1"
    first = site.in_force.choosing()
    assert site.in_force.choosing() is first
    site.activate(Kind.RULES, "one-per-study")
    assert site.in_force.choosing().rules.id == "one-per-study"
    site.activate(Kind.NETWORK, "small")
    assert site.in_force.choosing().card.name == "small"


def test_a_series_waits_while_its_rules_cannot_be_used(site, tmp_path):
    rules = site.here.folder / "rules" / "one-per-study.toml"
    site.activate(Kind.RULES, "one-per-study")
    before = rules.read_bytes()
    rewrite(rules, before + b"\n")
    spool = Spool(site.home / "spool")
    take_in(site.sessions, spool, mr_series(tmp_path / "in"), now=site.now)
    site.now += QUIET
    terms = sweep.Terms(
        closing=Closing(quiet=QUIET, hard_cap=CAP),
        choosing_now=site.in_force.choosing,
        lease_seconds=60,
        max_attempts=1,
        delivery_attempts=1,
        peers=(),
    )
    sweeper = sweep.Sweeper(site.sessions, spool, terms, home=site.home, clock=lambda: site.now)
    assert sweeper.sweep().analysis_ids == ()
    rewrite(rules, before)
    assert len(sweeper.sweep().analysis_ids) == 1
    with reading(site.sessions) as db:
        assert db.scalars(select(Analysis)).one().choice["rules"] == "one-per-study@1"


# The process that touches the images


def recipe(folder):
    return WorkshopRecipe(
        models_dir=folder,
        model="small",
        norms=(),
        policy="default",
        providers=(),
        precision="",
        threads=1,
        institution="",
    )


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    folder = tmp_path_factory.mktemp("job")
    paths = mr_series(folder / "in")
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
        out=folder / "results" / "1" / "attempt-1",
    )


def made_with(outcome):
    finding = outcome.finding
    return finding["model"]["name"], finding["model"]["sha256"], finding["policy"], finding["norms"]


def test_a_runner_changes_its_tools_without_a_restart_and_says_what_it_used(template, tmp_path, job):
    folder = shutil.copytree(template, tmp_path / "m")
    greeting = {"recipe": recipe(folder).as_dict(), "log_format": "text", "log_level": "INFO"}
    limits = Limits(deadline_seconds=120, memory_mb=4096)
    keeper = Keeper(greeting, limits, env=os.environ, command=COMMAND)
    small = tools_of(folder, SMALL)
    other = tools_of(
        folder, {**SMALL, Kind.NETWORK: "other", Kind.POLICY: "strict", Kind.NORMS: "provisional-fsf"}
    )
    hashes = [describe(Kind.NETWORK, name, folder).pieces[1].sha256 for name in ("small", "other")]
    try:
        assert keeper.open(small)["model"] == "small"
        first = keeper.perform(replace(job, tools=small), lambda: True)
        second = keeper.perform(replace(job, tools=other), lambda: True)
        assert keeper.ready["model"] == "other"
        assert made_with(first) == ("small", hashes[0], "default@2", [])
        assert made_with(second) == ("other", hashes[1], "strict@2", ["provisional-fsf@2 (provisional)"])
        rewrite(folder / "policies" / "default.toml", b"broken")
        with pytest.raises(ServiceError):
            keeper.perform(replace(job, tools=small), lambda: True)
    finally:
        keeper.close()


def test_a_toolbox_opens_a_network_anew_only_where_that_changed(template, tmp_path):
    folder = shutil.copytree(template, tmp_path / "m", copy_function=os.link)
    toolbox = Toolbox(recipe(folder))
    small = tools_of(folder, SMALL)
    first = toolbox.open(small)
    assert toolbox.open(small) is first
    assert toolbox.open(None) is first
    strict = toolbox.open(tools_of(folder, {**SMALL, Kind.POLICY: "strict"}))
    assert (strict.policy.id, strict.segmenter is first.segmenter) == ("strict", True)
    other = toolbox.open(tools_of(folder, {**SMALL, Kind.NETWORK: "other"}))
    assert other.segmenter is not first.segmenter


def test_a_runner_lets_go_of_a_network_that_is_not_in_force_any_more(template):
    """Two of them need not fit into its memory."""
    small, other = (tools_of(template, {**SMALL, Kind.NETWORK: name}) for name in ("small", "other"))
    toolbox, gone = Toolbox(recipe(template)), []

    class OtherEnd:
        """Hears that the network is open, and has nothing to do."""

        def send(self, message):
            assert message["ready"]["model"] == "small"

        def wait(self, *, seconds):
            assert seconds is None
            first = weakref.ref(toolbox.open(small).segmenter)
            toolbox.open(other)
            gc.collect()
            gone.append(first() is None)
            raise EOFError

    runner.serve(OtherEnd(), toolbox, small)
    assert gone == [True]


@pytest.mark.parametrize("part", ["policies/strict.toml", "other/card.toml"])
def test_a_toolbox_opens_no_file_but_the_one_that_was_activated(template, tmp_path, part):
    folder = shutil.copytree(template, tmp_path / "m", copy_function=os.link)
    tools = tools_of(folder, {**SMALL, Kind.NETWORK: "other", Kind.POLICY: "strict"})
    rewrite(folder / part, (folder / part).read_bytes() + b"\n# changed\n")
    toolbox = Toolbox(recipe(folder))
    toolbox.open(tools_of(folder, SMALL))
    with pytest.raises(NotAsActivated):
        toolbox.open(tools)
    # What it had open before is not taken for it, also not at the next try.
    with pytest.raises(NotAsActivated):
        toolbox.open(tools)


@pytest.mark.parametrize("version", ["1.0.0", "2.0.0", "3.0.0"])
def test_a_replay_takes_the_card_of_then_where_a_later_one_has_the_same_weights(template, tmp_path, version):
    """As where only a threshold was changed, and the card activated under a name of its own."""
    for folder, number in (("a", "1.0.0"), ("b", "2.0.0")):
        shutil.copytree(template / "small", tmp_path / folder)
        card = tmp_path / folder / "card.toml"
        card.write_text(
            re.sub("(?m)^version = .*", f'version = "{number}"', card.read_text("utf-8"), count=1)
        )
    first = read_card(tmp_path / "a")
    model = {"name": first.name, "version": version, "sha256": first.sha256}
    # Where that card is gone the weights are there all the same, and the replay says what differs.
    assert replay._card_of(model, tmp_path).version == {"3.0.0": "1.0.0"}.get(version, version)


# The trial


def test_a_network_that_answers_passes_its_trial_and_one_that_cannot_run_does_not(template, tmp_path):
    env = bare_environment()
    tried = try_network(template / "small", providers=(), precision="", threads=1, env=env)
    assert (tried.provider, tried.precision) == ("CPUExecutionProvider", "fp32")
    assert 0.0 <= tried.found <= 1.0
    shutil.copytree(template / "small", tmp_path / "broken")
    card = tmp_path / "broken" / "card.toml"
    weights = tmp_path / "broken" / "fold_0.onnx"
    old = files.sha256_of(weights)
    weights.write_bytes(b"no network")
    card.write_text(card.read_text("utf-8").replace(old, files.sha256_of(weights)), "utf-8")
    with pytest.raises(ModelMismatch) as told:
        try_network(card.parent, providers=(), precision="", threads=1, env=env)
    assert told.value.reason.code == "provider_unavailable"


def test_of_two_trials_at_once_one_waits_for_the_other(template, monkeypatch):
    """Whoever presses the button again and again fills no memory with networks."""
    both, met = Barrier(2), []

    def ran(*_arguments):
        try:
            both.wait(0.3)
            met.append(True)
        except BrokenBarrierError:
            met.append(False)
        return '{"provider": "CPUExecutionProvider", "precision": "fp32", "found": 1.0}'

    monkeypatch.setattr("service.pipeline.smoke._said", ran)
    trial = partial(try_network, template / "small", providers=(), precision="", threads=1, env={})
    threads = [Thread(target=trial) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert met == [False, False]


def test_a_trial_that_does_not_end_is_ended(template):
    with pytest.raises(ModelMismatch, match="in time"):
        try_network(
            template / "small", providers=(), precision="", threads=1, env=bare_environment(), seconds=0.01
        )


def test_a_trial_that_takes_too_much_memory_is_ended_alone(template):
    """As a runner is: whatever opens it, such as the web door, goes on."""
    with pytest.raises(ModelMismatch, match="more memory") as told:
        try_network(
            template / "small", providers=(), precision="", threads=1, env=bare_environment(), memory_mb=1
        )
    assert told.value.reason.code == "network_not_usable"


def test_nothing_recorded_leaves_the_workshop_as_it_was_opened(tmp_path, template):
    sessions = make_sessions("sqlite://")
    Base.metadata.create_all(sessions.kw["bind"])
    here = Installation(folder=template)
    empty = InForce(sessions, here.site, hard_cap=CAP)
    with reading(sessions) as db:
        assert empty.tools(db) is None
    assert empty.usable()
    assert empty.choosing().card.name == "paraspinal"
    sessions.kw["bind"].dispose()
