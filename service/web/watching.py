"""What the web door tells of trouble by itself: a worker that is gone cannot say so."""

from service.core.trouble import Limits
from service.pipeline import notify
from service.pipeline.clockwork import Clockwork
from service.pipeline.recipients import recipients_of
from service.web import monitor
from service.web.context import Web


def watching(web: Web) -> Clockwork:
    """Looks and tells while its ``with`` block lasts, where anybody is to be told."""
    settings = web.settings
    told = [each.model_dump() for each in settings.notify]
    if not told:
        return Clockwork([], every=notify.EVERY)
    notifier = notify.Notifier(
        web.sessions,
        recipients_of(told, site=settings.institution_name or settings.ae_title),
        site=lambda: monitor.site_of(settings, monitor.broken(monitor.readiness(web))),
        limits=Limits(running_seconds=monitor.running_limit(settings)),
        clock=web.clock,
    )
    return Clockwork([notifier.run], every=notify.EVERY)
