"""The process that touches the images: it holds the network, and does one job after the other.

Decoders and networks are where a hostile or broken image can hang, crash or swallow the memory. So they
run here, watched by the worker (``keeper``) and ended alone. This process knows no database, no broker
and no peer: it gets paths and ids, and writes into the folder of its attempt.
"""

import ctypes
import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from service import logs
from service.pipeline.analyse import Workshop
from service.pipeline.attempt import attempt
from service.pipeline.job import Job, JobTools, trouble
from service.pipeline.recipe import WorkshopRecipe
from service.pipeline.toolbox import Toolbox
from service.worker.messages import Message, Talk

log = logging.getLogger(__name__)

#: <linux/prctl.h>
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
#: Where memory is short, the kernel ends this process and not the worker (proc(5): from -1000 to 1000).
OOM_SCORE = "1000"


def main() -> None:
    """Work for the process at the other end of the socket until it says no more, or dies."""
    _stay_below(parent=int(sys.argv[2]))
    talk = Talk(socket.socket(fileno=int(sys.argv[1])))
    first = talk.wait(seconds=None) or {}
    logs.setup(style=first["log_format"], level=first["log_level"])
    tools = first.get("tools")
    serve(talk, Toolbox(WorkshopRecipe.from_dict(first["recipe"])), tools and JobTools.from_dict(tools))


def serve(talk: Talk, toolbox: Toolbox, tools: JobTools | None) -> None:
    """Open the network, say so, and answer jobs with outcomes until the other end is gone."""
    try:
        # No name here keeps hold of the workshop: its network goes when another one is in force.
        ready = _detail(toolbox.open(tools))
    except Exception as error:
        log.exception("runner_not_ready")
        talk.send(_error(error))
        return
    talk.send({"ready": ready})
    while True:
        try:
            job = talk.wait(seconds=None)
        except EOFError:
            return
        if job is not None:
            talk.send({**answer(job, toolbox), "ticket": job.get("ticket")})


def answer(message: Message, toolbox: Toolbox) -> Message:
    """What came of one job; whatever it raised is told by its reason."""
    job = Job.from_dict(message["job"])
    try:
        workshop = toolbox.open(job.tools)
        return {"outcome": attempt(job, workshop).as_dict(), "ready": _detail(workshop)}
    except Exception as error:
        log.exception("job_failed", extra={"analysis_id": job.analysis_id})
        return _error(error)


def _detail(workshop: Workshop) -> Message:
    """What the status page tells of the network."""
    segmenter = workshop.segmenter
    return {"provider": segmenter.provider, "precision": segmenter.precision, "model": workshop.card.name}


def _error(error: Exception) -> Message:
    reason = trouble(error)
    return {"error": {"code": reason.code, "text": reason.text}}


def _stay_below(*, parent: int) -> None:
    """End with the worker, gain no rights, go first when memory is short, and leave Ctrl-C to the worker."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(0)  # The worker died before the kernel knew that this process depends on it.
    with suppress(OSError):  # Some containers do not allow it.
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE, "ascii")
    signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    main()
