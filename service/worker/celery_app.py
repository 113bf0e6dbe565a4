"""How Celery is set up: doorbells only, with an id in each; the rows are the jobs."""

import ssl
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from celery import Celery

from service.settings import Settings

QUEUE = "myoscreen"
SWEEP, ANALYSE, DELIVER = "myoscreen.sweep", "myoscreen.analyse", "myoscreen.deliver"
CONFIRM, PURGE, SEAL = "myoscreen.confirm", "myoscreen.purge", "myoscreen.seal"
COMMIT = "myoscreen.commit"
REPLAY = "myoscreen.replay"

#: Longer than the longest task, or Redis hands the same doorbell out again and again (tried: a time
#: shorter than the task made it start eleven times in 41 s). An analysis is bounded by its deadline; this
#: is what a runner's start, publishing and sending may take beside it (chosen by us).
VISIBILITY_MARGIN_SECONDS = 4 * 3600.0
#: How often the in-memory queue is looked into; the library's own second would be seen in every result.
MEMORY_POLL_SECONDS = 0.02
#: A message's end is a time on its sender's wall clock that the taker compares with its own, so these
#: bounds must be longer than any two hosts' clocks differ (chosen by us). They are there only so that a
#: queue that nobody empties does not grow for ever: an old bell finds its row done, and costs one look.
RING_EXPIRES_SECONDS = 3600.0
#: Shorter, because a sweep is sent every second; of those that piled up, one at a time runs.
SWEEP_EXPIRES_SECONDS = 60.0
#: How often is looked for what is older than it is kept; chosen by us, because times to keep are in days.
PURGE_SECONDS = 600.0
#: How often new lines of the audit record are sealed: until then a line can be changed unseen. Chosen by us.
SEAL_SECONDS = 10.0


def make_app(settings: Settings) -> Celery:
    """The application of one worker process; on the in-memory transport it is the whole queue."""
    app = Celery("myoscreen", broker=_without_query(settings.resolved_broker_url), set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        result_backend=None,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_default_queue=QUEUE,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=_transport_options(settings),
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0, "interval_max": 0.2},
        enable_utc=True,
        timezone="UTC",
        beat_schedule={
            "sweep": {
                "task": SWEEP,
                "schedule": settings.sweep_seconds,
                "options": {"expires": max(2 * settings.sweep_seconds, SWEEP_EXPIRES_SECONDS)},
            },
            "purge": {"task": PURGE, "schedule": PURGE_SECONDS, "options": {"expires": PURGE_SECONDS}},
            "seal": {"task": SEAL, "schedule": SEAL_SECONDS, "options": {"expires": SWEEP_EXPIRES_SECONDS}},
        },
    )
    if settings.resolved_broker_url.startswith("rediss:"):
        app.conf.broker_use_ssl = _broker_tls(settings.resolved_broker_url)
    return app


def _without_query(url: str) -> str:
    """The URL of a Redis by TLS without its parameters: the library would let them weaken what we ask for."""
    return url.partition("?")[0] if url.startswith("rediss:") else url


def _broker_tls(url: str) -> dict[str, Any]:
    """How Redis proves who it is: always, by its host name, to the authority that the URL names."""
    named = dict(parse_qsl(urlsplit(url).query))
    files: dict[str, Any] = {
        key: named[key] for key in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile") if key in named
    }
    return {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True, **files}


def _transport_options(settings: Settings) -> dict[str, Any]:
    """What the queue needs: to be looked into often in memory, to restore a killed worker's bells in Redis.

    With the library's own intervals it took 101 s, with these 17 s (tried with kombu 5.7.0).
    """
    if settings.embedded_broker:
        return {"polling_interval": MEMORY_POLL_SECONDS}
    if not settings.resolved_broker_url.startswith(("redis:", "rediss:", "redis+socket:")):
        return {}
    return {
        "visibility_timeout": settings.analysis_deadline_seconds + VISIBILITY_MARGIN_SECONDS,
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
        "socket_timeout": 10.0,
        "socket_connect_timeout": 5.0,
        "socket_keepalive": True,
    }
