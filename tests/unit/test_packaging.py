"""The files that an operator builds and starts from are sound, and hold nothing that they must not."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from service.settings import PREFIX, Notify, Oidc, Peer, Settings, load

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent
COMPOSE_FILES = (ROOT / "docker-compose.yml", *sorted((ROOT / "deploy").glob("compose.*.yml")))

TEXT = {
    *(".py", ".md", ".toml", ".yml", ".yaml", ".txt", ".json", ".js", ".conf", ".lua", ".sh", ".in", ".html"),
    *(".css", ".example", ".mako", ".svg", ".cfg", ".ini", ""),
}
#: Hosts that packages and images are fetched from; which ones is for each site's own clients to say.
REGISTRY_HOSTS = re.compile(
    r"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|docker\.(?:io|com)|ghcr\.io|quay\.io|gcr\.io|nvcr\.io"
    r"|mcr\.microsoft\.com|proxy\.golang\.org|deb\.debian\.org|anaconda\.org|huggingface\.co"
)
#: Homes and work folders of the machine that something was written on.
MACHINE_PATHS = re.compile(r"(?<![\w.$}~*])/(?:work|root|Users|mnt|home/[a-z]\w*)/")


def project_files() -> list[Path]:
    """Every text file that belongs to the project, by what git keeps or would keep."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode != 0:
        pytest.skip("not in a git checkout, so nobody says which files belong to the project")
    paths = (ROOT / name for name in listing.stdout.split("\0") if name)
    return [path for path in paths if path.suffix in TEXT and path.is_file()]


def read(path: Path) -> str:
    return path.read_text("utf-8", errors="replace")


# Files of the deployment


def run_tool(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(TOOLS / command[0]), *command[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_dockerfile_passes_the_linter() -> None:
    result = run_tool("hadolint", "Dockerfile")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_compose_files_follow_the_compose_specification() -> None:
    result = run_tool(
        "check-jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        *(str(path.relative_to(ROOT)) for path in COMPOSE_FILES),
    )
    assert result.returncode == 0, result.stdout + result.stderr


def services() -> dict[str, dict[str, Any]]:
    """The services of the compose file, its anchors resolved."""
    content = YAML(typ="safe").load(read(COMPOSE_FILES[0]))
    return {name: dict(service) for name, service in content["services"].items()}


def test_every_container_is_without_capabilities_and_cannot_gain_any() -> None:
    for name, service in services().items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        # The demonstration's PACS and viewer are foreign images that start as root; they hold no patients.
        if service.get("profiles") != ["demo"]:
            assert service["read_only"] is True, name
            assert "cap_add" not in service, name
            assert service["user"] not in {"", "root", "0", "0:0"}, name


def test_database_and_broker_are_reached_from_inside_alone_and_by_tls() -> None:
    found = services()
    for name in ("postgres", "redis"):
        assert found[name]["networks"] == ["inside"], name
        assert "ports" not in found[name], name
        assert f"{name}_key" in found[name]["secrets"], name
    assert YAML(typ="safe").load(read(COMPOSE_FILES[0]))["networks"]["inside"] == {"internal": True}
    rules = [line.split() for line in read(ROOT / "deploy" / "pg_hba.conf").splitlines() if line[:1] != "#"]
    assert {rule[0] for rule in rules} == {"local", "hostssl"}
    assert {rule[-1] for rule in rules} == {"scram-sha-256"}


def test_every_published_port_is_on_loopback_until_it_is_written_down() -> None:
    ports = [port for service in services().values() for port in service.get("ports", ())]
    assert ports
    assert [port for port in ports if not re.match(r"(\$\{\w+:-)?127\.0\.0\.1", port)] == []


def test_every_file_that_the_compose_file_mounts_exists() -> None:
    mounted = re.findall(r"source: (\./deploy/\S+)", read(COMPOSE_FILES[0]))
    assert mounted
    assert [path for path in mounted if not (ROOT / path).is_file()] == []


def test_everything_that_the_dockerfile_copies_exists_and_is_not_ignored() -> None:
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", read(ROOT / "Dockerfile"), re.MULTILINE)
        for source in line.split()[:-1]
    ]
    allowed = {line[1:] for line in read(ROOT / ".dockerignore").splitlines() if line.startswith("!")}
    assert copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert any(f"{entry}/".startswith(source.rstrip("/") + "/") for entry in allowed), source


def test_the_image_does_not_run_as_root_and_is_checked() -> None:
    dockerfile = read(ROOT / "Dockerfile")
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", dockerfile, re.MULTILINE)
    assert "HEALTHCHECK" in dockerfile
    assert dockerfile.count("pip install --require-hashes") == 4


def test_no_password_stands_in_a_compose_file() -> None:
    for path in COMPOSE_FILES:
        assert not re.search(r"(?i)password\s*[:=]\s*[^\s{]", read(path)), path.name
        assert not re.search(r"://[^/\s:]+:[^/\s@]+@", read(path)), path.name


def test_every_setting_that_the_deployment_sets_exists() -> None:
    own = {"MYOSCREEN_TAG"}
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | own
    files = (*COMPOSE_FILES, ROOT / "Dockerfile", ROOT / "deploy" / "env.example")
    named = {name for path in files for name in re.findall(r"MYOSCREEN_[A-Z_]+", read(path))}
    assert named - known == set()


@pytest.mark.parametrize("name", ["myoscreen.example.toml", "demo/myoscreen.toml"])
def test_the_example_settings_are_read_by_the_program(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HOME", "CONFIG", "QUIET_SECONDS", "AE_TITLE", "PEER"):
        monkeypatch.delenv(PREFIX + variable, raising=False)
    settings = load(home=tmp_path, config=ROOT / "deploy" / name)
    assert settings.peer[0].outputs == ("SEG", "SR", "SC", "PDF")


def test_the_commented_peers_and_recipients_of_the_example_are_valid_too() -> None:
    text = read(ROOT / "deploy" / "myoscreen.example.toml")
    active = re.sub(r"^# (?=\[\[(?:peer|notify)|\[oidc|[a-z_]+ = )", "", text, flags=re.MULTILINE)
    assert [Notify.model_validate(each).digest for each in tomllib.loads(active)["notify"]] == ["06:00"]
    peers = [Peer.model_validate(peer) for peer in tomllib.loads(active)["peer"]]
    assert Oidc.model_validate(tomllib.loads(active)["oidc"]).local_form
    assert len(peers) == len(re.findall(r"^(?:# )?\[\[peer\]\]$", text, re.MULTILINE)) > 5


# What no file may hold


def test_the_project_has_files_to_look_at() -> None:
    assert {ROOT / "README.md", ROOT / "service" / "errors.py", Path(__file__)} <= set(project_files())


def test_no_file_names_a_registry_host() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in project_files()
        for match in REGISTRY_HOSTS.finditer(read(path))
    ]
    assert found == []


def test_no_file_names_a_path_of_the_machine_it_was_written_on() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in project_files()
        for match in MACHINE_PATHS.finditer(read(path))
    ]
    assert found == []
