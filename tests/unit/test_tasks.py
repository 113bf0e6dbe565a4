import threading
from pathlib import Path

from service.core.status import OutputKind
from service.core.variant import Variant
from service.db.leases import Lease
from service.dicom.scu import Address, StoreOutcome
from service.dicom.spool import file_head
from service.pipeline.deliver import Destination
from service.pipeline.sweep import Due, Stillness
from service.settings import Settings
from service.wire.dicomweb import WebAddress
from service.worker import tasks
from service.worker.celery_app import ANALYSE, COMMIT, CONFIRM, DELIVER, SWEEP, make_app
from service.worker.embedded import Ticker
from service.worker.keeper import START_SECONDS
from service.worker.main import destinations


class App:
    """Remembers what was rung."""

    def __init__(self, *, broken=False):
        self.rung, self.expires, self.broken = [], set(), broken

    def send_task(self, name, args=(), expires=None):
        if self.broken:
            raise ConnectionError
        self.rung.append((name, *args))
        self.expires.add(expires)


class Sweeper:
    def __init__(self, due):
        self.due = due

    def sweep(self):
        return self.due


class Work:
    def __init__(self, due):

        self.sweeping, self.sweeper = threading.Lock(), Sweeper(due)


def test_a_sweep_rings_for_what_waits_but_not_every_second():
    steady = [0.0]
    app = App()
    bell = tasks.Doorbell(app, steady_clock=lambda: steady[0])
    work = Work(Due(analysis_ids=(1, 2), delivery_ids=(7,), confirm_ids=(9,), commit_ids=(4,)))
    tasks.sweep(work, bell)
    tasks.sweep(work, bell)
    assert app.rung == [(ANALYSE, 1), (ANALYSE, 2), (DELIVER, 7), (CONFIRM, 9), (COMMIT, 4)]
    steady[0] = tasks.RING_AGAIN_SECONDS
    tasks.sweep(work, bell)
    assert len(app.rung) == 10


def test_a_sweep_under_way_is_not_doubled():
    app = App()
    work = Work(Due(analysis_ids=(1,), delivery_ids=()))
    with work.sweeping:
        tasks.sweep(work, tasks.Doorbell(app))
    assert app.rung == []


def test_a_broker_that_is_away_costs_a_ring_and_nothing_else():
    tasks.Doorbell(App(broken=True)).ring(ANALYSE, 1)


def test_a_lease_is_forgotten_when_its_work_is_done():
    steady = [0.0]
    watch = Stillness(seconds=10, clock=lambda: steady[0])
    lease = Lease(id=1, attempt=1, heartbeat=1)
    watch.expired([lease])
    watch.expired([])
    steady[0] = 11
    assert watch.expired([lease]) == []
    steady[0] = 21
    assert watch.expired([lease]) == [lease]


def test_a_new_attempt_starts_its_time_anew():
    steady = [0.0]
    watch = Stillness(seconds=10, clock=lambda: steady[0])
    watch.expired([Lease(id=1, attempt=1, heartbeat=1)])
    steady[0] = 10
    assert watch.expired([Lease(id=1, attempt=2, heartbeat=1)]) == []


def outcome(status, code=None):
    return StoreOutcome(path=None, sop_instance_uid="1", status=status, code=code)


def test_which_answers_mean_stored_and_which_are_final():
    assert [status for status in (0, 0xB000, 0xB006, 0xB007, 0x0111) if not outcome(status).stored] == []
    assert [s for s in (0xA900, 0xA9FF, 0xC000, 0xCFFF, 0x0122, 0x0117) if not outcome(s).final] == []
    assert [
        s for s in (0xA700, 0xA7FF, 0x0110, 0x0124, 0x0211) if outcome(s).final or outcome(s).stored
    ] == []
    assert outcome(None, "context_refused").final
    assert not outcome(None, "no_answer").final


def test_a_file_head_is_what_the_standard_says():
    head = file_head(sop_class_uid="1.2", sop_instance_uid="1.2.3", transfer_syntax_uid="1.2.840.10008.1.2")
    assert head[128:132] == b"DICM"
    length = int.from_bytes(head[140:144], "little")
    assert len(head) == 144 + length


def test_a_peer_by_dicomweb_is_a_destination_with_everything_that_was_set():
    settings = Settings(
        peer=(
            {
                "name": "web",
                "ae_title": "A",
                "host": "h",
                "stow_url": "https://h/dicom-web",
                "authorization_file": "/secret",
                "confirm": "query",
                "lanes": 3,
                "answer_seconds": 7,
                "outputs": ["SR"],
            },
        )
    )
    (found,) = destinations(settings)
    assert found == Destination(
        name="web",
        address=WebAddress(
            stow_url="https://h/dicom-web",
            qido_url="https://h/dicom-web",
            authorization_file=Path("/secret"),
            answer_seconds=7,
        ),
        outputs=(OutputKind.SR,),
        variant=Variant(flags=False),
        confirm="query",
        lanes=3,
    )


def test_only_peers_with_outputs_are_delivered_to():
    settings = Settings(
        peer=(
            {"name": "scanner", "ae_title": "A", "host": "h"},
            {"name": "pacs", "ae_title": "B", "host": "h", "port": 104, "outputs": ["SEG", "PDF"]},
        )
    )
    assert destinations(settings) == (
        Destination(
            name="pacs",
            address=Address(host="h", port=104, ae_title="B", calling_ae="MYOSCREEN"),
            outputs=(OutputKind.SEG, OutputKind.PDF),
            variant=Variant(flags=False),
        ),
    )


def test_nothing_but_json_and_late_acknowledgement():
    conf = make_app(Settings(broker_url="redis://localhost/0")).conf
    assert (list(conf.accept_content), conf.task_acks_late, conf.worker_prefetch_multiplier) == (
        ["json"],
        True,
        1,
    )
    options = conf.broker_transport_options
    assert options["visibility_timeout"] > 3600
    assert (options["unacked_restore_interval"], options["unacked_restore_throttle"]) == (1, 1)


def test_clocks_that_differ_by_seconds_discard_no_bell_and_no_sweep():
    app = App()
    tasks.Doorbell(app).ring(ANALYSE, 1)
    assert app.expires == {3600.0}
    schedule = make_app(Settings(sweep_seconds=0.5)).conf.beat_schedule
    assert schedule["sweep"]["options"]["expires"] >= 60.0


def test_the_sweep_is_sent_by_the_steady_clock_and_goes_on_when_the_broker_is_back():
    steady, app = [100.0], App()
    app.conf = make_app(Settings(sweep_seconds=0.5)).conf
    ticker = Ticker(app, steady_clock=lambda: steady[0])
    assert ticker.tick() == 0.5
    app.broken = True
    for steady[0] in (100.4, 100.5, 101.0):
        ticker.tick()
    app.broken = False
    steady[0] = 101.5
    ticker.tick()
    assert [name for name, *_ in app.rung].count(SWEEP) == 2


def test_redis_hands_a_bell_out_again_only_after_the_longest_task():
    for deadline in (60.0, 100_000.0):
        options = make_app(
            Settings(broker_url="redis://localhost/0", analysis_deadline_seconds=deadline)
        ).conf.broker_transport_options
        assert options["visibility_timeout"] >= deadline + START_SECONDS
