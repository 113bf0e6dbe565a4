"""``python -m service.cli`` that reports at once, for tests that wait for it."""

from datetime import timedelta

from service.cli import main
from service.pipeline import forward, notify
from service.worker import celery_app

if __name__ == "__main__":
    notify.EVERY = forward.EVERY = timedelta(seconds=0.5)
    celery_app.SEAL_SECONDS = 1.0
    main()
