"""What an answer for one object means."""

import pytest

from service.core.answers import Answer


@pytest.mark.parametrize(
    ("answer", "stored", "final", "tried", "reached"),
    [
        (Answer(status=0x0000), True, False, True, True),
        (Answer(status=0xB000), True, False, True, True),
        (Answer(status=0x0111), True, False, True, True),
        (Answer(status=0xA700), False, False, True, True),
        (Answer(status=0xA900), False, True, True, True),
        (Answer(status=0xC000), False, True, True, True),
        (Answer(status=0x0122), False, True, True, True),
        (Answer(status=None, code="context_refused"), False, True, True, True),
        (Answer(status=None, code="http_unclear"), False, False, True, True),
        (Answer(status=None, code="unreadable"), False, True, True, False),
        (Answer(status=None, code="no_answer"), False, False, True, False),
        (Answer(status=None, code="not_tried"), False, False, False, False),
    ],
)
def test_what_an_answer_means(answer, stored, final, tried, reached):
    assert (answer.stored, answer.final, answer.tried, answer.reached) == (stored, final, tried, reached)
