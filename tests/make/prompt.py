"""``python -m service.cli`` with reports every other second, for tests that wait for one."""

from datetime import timedelta

from service.cli import main
from service.pipeline import notify

if __name__ == "__main__":
    notify.EVERY = timedelta(seconds=2)
    main()
