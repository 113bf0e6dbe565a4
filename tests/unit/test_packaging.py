"""The files that an operator builds and starts from are sound, and hold nothing that they must not."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from service.settings import PREFIX, Peer, Settings, load

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent
COMPOSE_FILES = (ROOT / "docker-compose.yml", ROOT / "deploy" / "compose.gpu.yml")

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


def test_the_commented_peers_of_the_example_are_valid_too() -> None:
    text = read(ROOT / "deploy" / "myoscreen.example.toml")
    active = re.sub(r"^# (?=\[\[peer|[a-z_]+ = )", "", text, flags=re.MULTILINE)
    peers = [Peer.model_validate(peer) for peer in tomllib.loads(active)["peer"]]
    assert len(peers) == 5


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
