"""A certificate authority of a test's own, made with openssl."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.make.servers import find_program

NAMES = "DNS:localhost,IP:127.0.0.1"


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """Who signs certificates."""

    folder: Path
    own: Pair

    @property
    def ca(self) -> Path:
        """What others trust."""
        return self.own.certificate

    def issue(self, subject: str, *, names: str = NAMES, days: int = 30, file: str = "") -> Pair:
        """A certificate for this subject (``/CN=...``); with negative ``days`` it has expired."""
        stem = file or subject.strip("/").replace("/", "_").replace("=", "-").replace(" ", "_")
        pair = Pair(self.folder / f"{stem}.pem", self.folder / f"{stem}.key")
        request, extra = self.folder / f"{stem}.csr", self.folder / f"{stem}.ext"
        extra.write_text(f"basicConstraints=critical,CA:FALSE\nsubjectAltName={names}\n", "utf-8")
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(pair.key))
        openssl("req", "-new", *key, "-out", str(request), "-subj", subject)
        openssl(
            *("x509", "-req", "-in", str(request), "-out", str(pair.certificate), "-days", str(days)),
            *("-CA", str(self.own.certificate), "-CAkey", str(self.own.key), "-extfile", str(extra)),
        )
        return pair

    def revoked(self, pair: Pair) -> Path:
        """A list of revoked certificates with this one on it."""
        index, config = self.folder / "index.txt", self.folder / "ca.cnf"
        index.touch()
        config.write_text(
            f"[ca]\ndefault_ca=own\n[own]\ndatabase={index}\ndefault_md=sha256\ndefault_crl_days=30\n",
            "utf-8",
        )
        signer = ("-config", str(config), "-cert", str(self.own.certificate), "-keyfile", str(self.own.key))
        openssl("ca", *signer, "-revoke", str(pair.certificate))
        openssl("ca", *signer, "-gencrl", "-out", str(self.folder / "crl.pem"))
        return self.folder / "crl.pem"


def authority(folder: Path, name: str = "Test CA") -> Authority:
    """A new authority, its files in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    pair = Pair(folder / "ca.pem", folder / "ca.key")
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"),
        *("-keyout", str(pair.key), "-out", str(pair.certificate), "-subj", f"/CN={name}"),
        *("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"),
    )
    return Authority(folder, pair)


def lock(pair: Pair, password: str) -> Path:
    """The same key, locked with a password, in a file of its own."""
    locked = pair.key.with_suffix(".locked")
    openssl("pkey", "-in", str(pair.key), "-aes256", "-passout", f"pass:{password}", "-out", str(locked))
    return locked


def openssl(*arguments: str) -> None:
    """Run openssl."""
    subprocess.run([find_program("openssl"), *arguments], check=True, capture_output=True, timeout=60)
