"""The funnel of enrolment as a drawing; its table is beside it."""

from markupsafe import Markup

from service.core import explained
from service.core.funnel import STEPS, Funnel
from service.web.language import Speaker
from service.web.population_frame import picture, text


def funnel(found: Funnel, say: Speaker) -> Markup:
    """The steps as bars of their width, from the received to the confirmed."""
    parts: list[Markup] = []
    whole, middle, high = 220.0, 116.0, 22.0
    for place, step in enumerate(STEPS):
        count = found.counts[step]
        width = whole * count / found.received if found.received else 0.0
        y = 6.0 + place * (high + 18.0)
        parts.append(Markup('<rect class="all" x="{}" y="{}" width="{}" height="{}"/>').format(
            middle - whole / 2, y, whole, high))  # fmt: skip
        parts.append(Markup('<rect class="part" x="{:.1f}" y="{}" width="{:.1f}" height="{}"/>').format(
            middle - width / 2, y, width, high))  # fmt: skip
        label = f"{explained.step_name(step, say.language)}: {count}"
        parts.append(text(middle + whole / 2 + 12, y + 15, label, "start", "name"))
        if place + 1 < len(STEPS):
            lost = count - found.counts[STEPS[place + 1]]
            said = say("{count} not, or not yet", count=lost)
            parts.append(text(middle, y + high + 13, said, "middle"))
    return picture(say("Funnel of enrolment"), 400, 6 + len(STEPS) * (high + 18), parts)
