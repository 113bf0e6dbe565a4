import json
import tempfile
from pathlib import Path

import pytest

from service.cli.looks import Found, _secrets
from service.errors import ConfigurationError
from service.settings import Settings, bare_environment, child_environment, load


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MYOSCREEN_HOME", str(tmp_path))
    return tmp_path


def write(home, text):
    (home / "myoscreen.toml").write_text(text, "utf-8")


def test_without_anything_set_everything_listens_on_loopback(home):
    settings = load()
    assert (settings.dicom_bind, settings.http_bind) == ("127.0.0.1", "127.0.0.1")
    assert (settings.ae_title, settings.dicom_port, settings.http_port) == ("MYOSCREEN", 11112, 8080)
    assert settings.resolved_database_url == f"sqlite:///{home}/myoscreen.db"
    assert settings.embedded_broker


def test_a_peer_is_read_from_the_file(home):
    write(
        home,
        'AE_TITLE = "X"\n[[peer]]\nname = "pacs"\nae_title = "ORTHANC"\nhost = "h"\n'
        'port = 4242\noutputs = ["SEG"]\n',
    )
    settings = load()
    assert settings.ae_title == "X"
    (peer,) = settings.peer
    assert (peer.name, peer.port, peer.outputs, peer.may_send, peer.flags) == (
        "pacs",
        4242,
        ("SEG",),
        True,
        False,
    )


def test_the_environment_wins_over_the_file_and_an_argument_over_both(home, monkeypatch):
    write(home, "quiet_seconds = 7\n")
    assert load().quiet_seconds == 7
    monkeypatch.setenv("MYOSCREEN_QUIET_SECONDS", "8")
    assert load().quiet_seconds == 8
    assert load(quiet_seconds=9).quiet_seconds == 9


def test_lists_may_be_written_with_commas(monkeypatch):
    monkeypatch.setenv("MYOSCREEN_EXECUTION_PROVIDERS", "CUDAExecutionProvider, CPUExecutionProvider")
    assert load().execution_providers == ("CUDAExecutionProvider", "CPUExecutionProvider")
    monkeypatch.setenv("MYOSCREEN_PRECISION", "fp32")
    assert load().precision == "fp32"


A_PEER = "[[peer]]\nname = 'a'\nae_title = 'A'\nhost = 'h'\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dicom_port = 70000", "dicom_port"),
        ("ae_title = 'seventeen characters'", "ae_title"),
        ("no_such_setting = 1", "no_such_setting"),
        ("[[peer]]\nname = 'a'\nae_title = 'A'\nhost = 'h'\noutputs = ['SEG']", "no port"),
        (
            "\n".join(f"[[peer]]\nname = 'a'\nae_title = '{title}'\nhost = 'h'" for title in "AB"),
            "same name",
        ),
        ("[[peer]]\nname = '../a'\nae_title = 'A'\nhost = 'h'", "peer.0.name"),
        (A_PEER + "stow_url = 'http://h'\nport = 1", "write two peers"),
        (A_PEER + "stow_url = 'http://me:secret@h'", "peer.0.stow_url"),
        (A_PEER + "stow_url = 'ftp://h'", "peer.0.stow_url"),
        (A_PEER + "qido_url = 'http://h'", "no stow_url"),
        (A_PEER + "stow_url = 'http://h'\nconfirm = 'commitment'", "without a port"),
        (A_PEER + "port = 1\nlanes = 0", "peer.0.lanes"),
        ("[tracing]\nendpoint = 'http://h/v1/traces'\nauthorization_file = 'f'", "tracing.endpoint must be"),
        ("not toml", "myoscreen.toml"),
    ],
)
def test_a_mistake_is_named(home, text, words):
    write(home, text)
    with pytest.raises(ConfigurationError, match=words.replace(".", r"\.")):
        load()


def test_a_secret_goes_without_tls_to_this_machine_alone(home):
    write(home, "[tracing]\nendpoint = 'http://127.0.0.1:4318/v1/traces'\nauthorization_file = 'f'")
    assert load().tracing_target["endpoint"] == "http://127.0.0.1:4318/v1/traces"
    write(home, "[tracing]\nendpoint = 'http://h:4318/v1/traces'")
    assert load().tracing_target["authorization_file"] is None


def test_a_mistake_never_shows_the_value(home):
    write(home, 'database_url = 17\nbroker_url = "redis://:hunter2@h"\nquiet_seconds = "secret"')
    with pytest.raises(ConfigurationError) as error:
        load()
    assert "secret" not in str(error.value)
    assert "hunter2" not in str(error.value)


def test_a_named_file_must_exist(tmp_path):
    with pytest.raises(ConfigurationError, match="does not exist"):
        load(config=tmp_path / "nothing.toml")


def test_urls_with_passwords_may_come_from_secret_files(tmp_path):
    secret = tmp_path / "url"
    secret.write_text("postgresql://u:p@h/d\n", "utf-8")
    assert load(database_url_file=secret).resolved_database_url == "postgresql://u:p@h/d"
    assert load(broker_url_file=secret).embedded_broker is False
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(database_url_file=tmp_path / "gone").resolved_database_url  # noqa: B018


TLS = 'tls_certificate = "c"\ntls_key = "k"\ntls_ca = "a"\n'
PEER = '[[peer]]\nname = "p"\nae_title = "P"\nhost = "h"\n'


def test_the_port_without_tls_is_closed_as_soon_as_tls_is_configured(home):
    assert load().plain_listener
    write(home, TLS)
    assert not load().plain_listener
    assert load(dicom_plain=True).plain_listener


def test_a_peer_by_tls_is_bound_to_one_subject_or_several(home):
    write(home, TLS + PEER + "tls = true\ntls_subject = 'CN=a b,O=H\\, N'\n")
    assert load().peer[0].tls_subject == (r"CN=a b,O=H\, N",)
    write(home, TLS + PEER + 'tls = true\ntls_subject = ["DNS:a.example", "cn=b"]\n')
    assert load().peer[0].tls_subject == ("DNS:a.example", "cn=b")
    write(home, TLS + PEER + "tls = true\nmay_send = false\n")
    assert load().peer[0].tls_subject == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('tls_certificate = "c"\n', "belong together"),
        ("dicom_plain = false\n", "leaves no port open"),
        (PEER + 'tls = true\ntls_subject = "CN=a"\n', "needs tls_certificate"),
        (TLS + PEER + "tls = true\n", "has no tls_subject"),
        (TLS + PEER + "tls = true\nmay_send = false\ncommitment_scp = true\n", "has no tls_subject"),
        (TLS + PEER + "tls = true\nmay_send = false\nmpps_scp = true\n", "has no tls_subject"),
        (TLS + PEER + 'tls_subject = "CN=a"\n', "but not tls = true"),
        (TLS + PEER + 'tls = true\ntls_subject = "scanner"\n', "peer.0.tls_subject.0"),
        (TLS + PEER + 'tls = true\ntls_subject = "CN=a,XX=b"\n', "peer.0.tls_subject.0"),
        ('http_tls_key = "k"\n', "belong together"),
        ('trusted_proxies = "proxy.example"\n', "trusted_proxies.0"),
    ],
)
def test_half_a_configuration_of_tls_is_named(home, text, words):
    write(home, text)
    with pytest.raises(ConfigurationError, match=words.replace(".", r"\.")):
        load()


def test_a_child_process_gets_the_changed_settings(monkeypatch):
    peer = {"name": "p", "ae_title": "P", "host": "h", "port": 1}
    for name, value in child_environment(peer=json.dumps([peer]), ae_title="CHILD").items():
        monkeypatch.setenv(name, value)
    child = load()
    assert child.ae_title == "CHILD"
    assert child.peer[0].name == "p"


def test_every_setting_has_a_default():
    assert all(not field.is_required() for field in Settings.model_fields.values())


def test_secret_files_that_others_may_read_are_told(tmp_path):
    # pytest's own folders are closed to others, which protects what lies in them; so one beside them is made.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        url, key, password = folder / "url", folder / "key", folder / "password"
        for path, mode in ((url, 0o644), (key, 0o600), (password, 0o640)):
            path.write_text("secret")
            path.chmod(mode)
        settings = load(
            database_url_file=url,
            http_tls_certificate=folder / "certificate",
            http_tls_key=key,
            http_tls_key_password_file=password,
            broker_url_file=folder / "absent",
        )
        with pytest.raises(Found) as found:
            _secrets(settings)
        assert [(each.code, each.about) for each in found.value.troubles] == [("secret_open", str(url))]
        folder.chmod(0o700)
        assert _secrets(settings).endswith("none open to others")


def test_every_setting_that_names_a_secret_file_is_looked_at(tmp_path):
    names = {name for name in Settings.model_fields if name.endswith(("_file", "_key"))}
    settings = load(
        tls_certificate=tmp_path,
        tls_ca=tmp_path,
        http_tls_certificate=tmp_path,
        **{name: tmp_path / name for name in names},
    )
    assert {path.name for path in settings.secret_files} == names


def test_a_runner_s_environment_holds_no_setting_and_no_secret(monkeypatch):
    secrets = ("MYOSCREEN_HOME", "PGPASSWORD", "PGHOST", "AWS_SECRET_ACCESS_KEY", "https_proxy", "MY_TOKEN")
    for name in (*secrets, "LANG", "SOME_FOLDER"):
        monkeypatch.setenv(name, "x")
    found = bare_environment()
    assert not set(secrets) & set(found)
    assert {"LANG", "SOME_FOLDER"} <= set(found)
