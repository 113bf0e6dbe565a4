"""A stretch of the day in which work may be done that would disturb others at other times."""

import re
from dataclasses import dataclass
from datetime import time
from typing import Final

from service.errors import ConfigurationError

FORM: Final = re.compile(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")


@dataclass(frozen=True)
class Window:
    """From one time of day to another; over midnight where it ends before it begins."""

    begin: time
    end: time

    def contains(self, clock: time) -> bool:
        """Whether it is open then; its end is not part of it. One of no length is the whole day."""
        if self.begin < self.end:
            return self.begin <= clock < self.end
        return clock >= self.begin or clock < self.end


def parse_window(text: str) -> Window:
    """Such as 20:00-06:00; raises ConfigurationError."""
    match = FORM.fullmatch(text.strip())
    try:
        if match is None:
            raise ValueError
        hours = [int(part) for part in match.groups()]
        return Window(time(hours[0], hours[1]), time(hours[2], hours[3]))
    except ValueError:
        raise ConfigurationError(
            f"{text!r} is no stretch of the day, such as 20:00-06:00.", reason="bad_window"
        ) from None
