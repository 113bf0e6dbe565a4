import json

import pytest

from service.errors import ConfigurationError
from service.settings import Settings, child_environment, load


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
        ("not toml", "myoscreen.toml"),
    ],
)
def test_a_mistake_is_named(home, text, words):
    write(home, text)
    with pytest.raises(ConfigurationError, match=words.replace(".", r"\.")):
        load()


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


def test_a_child_process_gets_the_changed_settings(monkeypatch):
    peer = {"name": "p", "ae_title": "P", "host": "h", "port": 1}
    for name, value in child_environment(peer=json.dumps([peer]), ae_title="CHILD").items():
        monkeypatch.setenv(name, value)
    child = load()
    assert child.ae_title == "CHILD"
    assert child.peer[0].name == "p"


def test_every_setting_has_a_default():
    assert all(not field.is_required() for field in Settings.model_fields.values())
