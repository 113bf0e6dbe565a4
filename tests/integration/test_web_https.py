"""The web door by HTTPS: what it speaks, what it sets, and a certificate that is replaced."""

import http.client
import os
import shutil
import ssl
import subprocess
import sys
import warnings

import pytest

from service.db.session import make_sessions
from service.errors import ConfigurationError
from service.web.app import Beat
from service.web.context import Neighbours, Web, utc_now
from service.web.https import Https
from tests.make import certificates
from tests.make.running import wait_for

PROGRAM = "from service.settings import load; from service.web.app import serve; serve(load())"


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return certificates.authority(tmp_path_factory.mktemp("ca"))


def install(pair, folder):
    folder.mkdir(exist_ok=True)
    return shutil.copy(pair.certificate, folder / "web.pem"), shutil.copy(pair.key, folder / "web.key")


def trusting(ca):
    context = ssl.create_default_context(cafile=str(ca.ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def ask(port, context, path="/login"):
    connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return answer
    finally:
        connection.close()


def test_the_web_door_speaks_https_and_says_so_to_browsers(ca, make_settings, tmp_path):
    certificate, key = install(ca.issue("/CN=web"), tmp_path / "tls")
    settings = make_settings(http_tls_certificate=certificate, http_tls_key=key)
    environment = {
        **os.environ,
        "MYOSCREEN_HOME": str(settings.home),
        "MYOSCREEN_HTTP_PORT": str(settings.http_port),
        "MYOSCREEN_HTTP_TLS_CERTIFICATE": str(certificate),
        "MYOSCREEN_HTTP_TLS_KEY": str(key),
    }
    with subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment) as process:
        try:

            def up():
                assert process.poll() is None
                try:
                    return ask(settings.http_port, trusting(ca))
                except ConnectionRefusedError:
                    return None

            answer = wait_for("the web door", up)
            assert answer.status == 200
            assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
            assert "secure" in answer.headers["Set-Cookie"].lower()
            old = trusting(ca)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                old.set_ciphers("ALL:@SECLEVEL=0")
                old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
            with pytest.raises(ssl.SSLError):
                ask(settings.http_port, old)
        finally:
            process.kill()


def shown(https, ca):
    """The serial number of the certificate that a browser would see."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    browser = trusting(ca).wrap_bio(to_client, to_server, server_hostname="localhost")
    server = https.context.wrap_bio(to_server, to_client, server_side=True)
    for side in (browser, server, browser):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return browser.getpeercert()["serialNumber"]


def test_a_replaced_certificate_is_shown_at_the_next_beat(ca, make_settings, tmp_path):
    certificate, key = install(ca.issue("/CN=web"), tmp_path / "tls")
    https = Https(certificate, key)
    settings = make_settings()
    sessions = make_sessions(settings.resolved_database_url)
    web = Web(settings=settings, sessions=sessions, clock=utc_now, neighbours=Neighbours())
    before = shown(https, ca)
    certificate.write_text("broken")
    https.refresh()
    assert shown(https, ca) == before
    install(ca.issue("/CN=web", file="renewed"), tmp_path / "tls")
    beat = Beat(web, https)
    beat.start()
    wait_for("the new certificate", lambda: shown(https, ca) != before, seconds=30)
    beat.stop()
    sessions.kw["bind"].dispose()


def test_a_locked_key_and_one_that_does_not_fit(ca, tmp_path):
    pair, other = ca.issue("/CN=web", file="one"), ca.issue("/CN=web", file="two")
    password = tmp_path / "password"
    password.write_text("long and secret\n")
    locked = certificates.lock(pair, "long and secret")
    assert shown(Https(pair.certificate, locked, password), ca)
    for key in (locked, other.key, tmp_path / "absent"):
        with pytest.raises(ConfigurationError) as caught:
            Https(pair.certificate, key)
        assert caught.value.reason.code == "tls_files_unusable"
