"""A real rsyslog that takes messages by TLS from whom it knows."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from tests.make.certificates import Authority
from tests.make.running import free_port
from tests.make.servers import Server, find_program

Driver = Literal["gtls", "ossl"]
#: Who may send, by a name in the certificate.
SENDER = "myoscreen"
CONFIG = """
global(workDirectory="{folder}" maxMessageSize="64k" defaultNetstreamDriver="{driver}"
  defaultNetstreamDriverCAFile="{ca}" defaultNetstreamDriverCertFile="{certificate}"
  defaultNetstreamDriverKeyFile="{key}")
module(load="imtcp" streamDriver.name="{driver}" streamDriver.mode="1"
  streamDriver.authMode="x509/name" permittedPeer=["{sender}"])
template(name="raw" type="string" string="%rawmsg%\\n")
input(type="imtcp" port="{port}" address="127.0.0.1")
action(type="omfile" file="{out}" template="raw")
"""


@dataclass
class Rsyslog:
    """One collector; it can be stopped and started again."""

    server: Server
    out: Path

    @property
    def port(self) -> int:
        """Where it listens, on loopback."""
        return self.server.port

    def lines(self) -> list[str]:
        """Messages that it wrote so far, as they came."""
        return self.out.read_text("utf-8").splitlines() if self.out.is_file() else []


@contextmanager
def start_rsyslog(folder: Path, trust: Authority, *, driver: Driver = "gtls") -> Iterator[Rsyslog]:
    """rsyslogd with one of its TLS drivers."""
    program = find_program("rsyslogd")
    if not list(Path("/usr/lib").glob(f"**/rsyslog/lmnsd_{driver}.so")):
        pytest.skip(f"rsyslog has no TLS driver {driver}")
    folder.mkdir(parents=True, exist_ok=True)
    pair, port = trust.issue("/CN=collector", file=f"collector-{driver}"), free_port()
    config, out = folder / "rsyslog.conf", folder / "out.log"
    config.write_text(
        CONFIG.format(
            folder=folder,
            driver=driver,
            ca=trust.ca,
            certificate=pair.certificate,
            key=pair.key,
            sender=SENDER,
            port=port,
            out=out,
        ),
        "utf-8",
    )
    command = [program, "-n", "-f", str(config), "-i", str(folder / "pid")]
    server = Server(command, port, folder / "rsyslog.log")
    try:
        server.start()
        yield Rsyslog(server, out)
    finally:
        server.stop()
