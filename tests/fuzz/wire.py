"""Associations with wrong bytes in them: what a receiver must survive.

`python -m tests.fuzz.wire --seconds 120` runs them against ``myoscreen receive`` and prints the seed.
"""

import argparse
import random
import secrets
import socket
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from service.dicom import scu
from tests.make import wire
from tests.make.asking import crowd, session_of_questions, session_of_steps
from tests.make.received import encoded
from tests.make.running import running_service
from tests.make.series import mr_series

#: A receiver that has not closed by then hangs.
HANG_SECONDS = 20.0
EXTREMES = (0, 1, 2, 5, 6, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x1FFFF, 0x20001, 0x7FFFFFFF, 0xFFFFFFFF)
#: Far below what a leak of one buffer for each association would come to, and above what caches need.
MOST_GROWTH_MB = 64
#: Who says all this: may send, ask for commitment, and tell of performed steps.
SCANNER = {
    "name": "scanner",
    "ae_title": "SCANNER",
    "host": "127.0.0.1",
    "port": 9,
    "commitment_scp": True,
    "mpps_scp": True,
}


def good_session(path: Path) -> list[bytes]:
    """An association that verifies and stores one image, PDU by PDU."""
    dataset, meta = encoded(path)
    store = wire.store_request(str(meta.MediaStorageSOPInstanceUID), dataset, piece=300)
    return [wire.associate_request(), wire.echo_request(), *store, wire.release_request()]


def mutate(session: list[bytes], chance: random.Random) -> list[bytes]:
    """The same with one to four things wrong."""
    pdus = list(session)
    for _ in range(chance.randint(1, 4)):
        where = chance.randrange(len(pdus))
        wrong = chance.choice(MUTATIONS)(bytearray(pdus[where]), chance)
        action = chance.randrange(12)
        if action == 0:
            pdus.insert(where, wrong)
        elif action == 1 and len(pdus) > 1:
            del pdus[where]
        elif action == 2:
            other = chance.randrange(len(pdus))
            pdus[where], pdus[other] = pdus[other], pdus[where]
        else:
            pdus[where] = wrong
    return pdus


def _flip(raw: bytearray, chance: random.Random) -> bytes:
    for _ in range(chance.randint(1, 8)):
        if raw:
            raw[chance.randrange(len(raw))] = chance.randrange(256)
    return bytes(raw)


def _cut(raw: bytearray, chance: random.Random) -> bytes:
    return bytes(raw[: chance.randrange(len(raw) + 1)])


def _grow(raw: bytearray, chance: random.Random) -> bytes:
    at = chance.randrange(len(raw) + 1)
    return bytes(raw[:at]) + chance.randbytes(chance.choice((1, 7, 300, 70_000))) + bytes(raw[at:])


def _number(raw: bytearray, chance: random.Random) -> bytes:
    """An extreme number where a length may stand, in either byte order."""
    size, order = chance.choice((2, 4)), chance.choice(("big", "little"))
    if len(raw) > size:
        at = chance.choice((2, 6, chance.randrange(len(raw) - size)))
        raw[at : at + size] = (chance.choice(EXTREMES) % 256**size).to_bytes(size, order)
    return bytes(raw)


def _kind(raw: bytearray, chance: random.Random) -> bytes:
    if raw:
        raw[0] = chance.randrange(10)
    return bytes(raw)


def _control(raw: bytearray, chance: random.Random) -> bytes:
    """Another presentation context or control header."""
    if len(raw) > 12:
        raw[chance.choice((10, 11))] = chance.randrange(8)
    return bytes(raw)


MUTATIONS = (_flip, _cut, _grow, _number, _kind, _control)


def play(port: int, pdus: list[bytes], chance: random.Random) -> None:
    """Say all this, in pieces or at once, and listen until the receiver closes, which it must."""
    with socket.create_connection(("127.0.0.1", port), HANG_SECONDS) as connection:
        with suppress(OSError):  # It may have closed before we are done.
            stream = b"".join(pdus)
            step = chance.choice((len(stream), 1000, 97)) or 1
            for at in range(0, len(stream), step):
                connection.sendall(stream[at : at + step])
            connection.shutdown(socket.SHUT_WR)
        try:
            while connection.recv(65536):
                pass
        except TimeoutError:
            raise AssertionError("the receiver neither answers nor closes") from None
        except OSError:  # Reset, because it closed before it had read all of this.
            pass


def main() -> None:
    """Search for a while; the seed repeats it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as scratch:
        (path,) = mr_series(Path(scratch) / "in", positions=[0.0])
        sessions = [good_session(path), session_of_questions(crowd(2)), session_of_steps([path])]
        home, doors = Path(scratch) / "home", ("receive", "web")
        with running_service(home, doors=doors, peers=(SCANNER,)) as service:
            process = service.processes["receive"]
            for session in sessions:
                play(service.dicom_port, session, chance)
            before, end, played = _resident_mb(process.pid), time.monotonic() + arguments.seconds, 0
            while time.monotonic() < end:
                play(service.dicom_port, mutate(chance.choice(sessions), chance), chance)
                played += 1
                assert process.poll() is None, service.logs()
            grown = _resident_mb(process.pid) - before
            answers = [outcome.status for outcome in scu.store([path], _address(service.dicom_port))]
            failed = (service.home / "receive.log").read_text("utf-8", "replace").count("association_failed")
    print(f"{played} associations, memory grew by {grown:.1f} MB, unexpected errors {failed}, then {answers}")
    assert answers == [0x0000]
    assert grown < MOST_GROWTH_MB
    assert failed == 0


def _address(port: int) -> scu.Address:
    return scu.Address(host="127.0.0.1", port=port, ae_title="MYOSCREEN", calling_ae="SCANNER")


def _resident_mb(pid: int) -> float:
    """Memory of a process that is in use."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main()
