"""What was written down a moment ago, so that looking through a stack adds one line to the audit record."""

import threading
from collections import OrderedDict
from datetime import datetime, timedelta

#: Looking through one result so long is one look. Chosen by us, with the time after which an idle login ends.
ONE_LOOK = timedelta(minutes=15)
#: People and results that are remembered, the latest ones: about 1 MB. Chosen by us.
REMEMBERED = 10_000


class Recalled:
    """Who looked at what lately, in the memory of this process; a restart forgets it: one line more."""

    def __init__(self) -> None:
        self._at: OrderedDict[tuple[str, int], datetime] = OrderedDict()
        self._lock = threading.Lock()

    def is_new(self, actor: str, analysis_id: int, now: datetime) -> bool:
        """Whether this look is to be written down; asked again within ``ONE_LOOK`` it is not."""
        key = (actor, analysis_id)
        with self._lock:
            begun = self._at.get(key)
            if begun is not None and begun <= now < begun + ONE_LOOK:
                return False
            self._at.pop(key, None)
            self._at[key] = now
            while len(self._at) > REMEMBERED:
                self._at.popitem(last=False)
            return True

    def forget(self, actor: str, analysis_id: int) -> None:
        """What could not be written down is to be written down at the next look."""
        with self._lock:
            self._at.pop((actor, analysis_id), None)
