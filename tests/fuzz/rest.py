"""Requests made up from the interface's own description: what comes back must be what it says.

`python -m tests.fuzz.rest --seconds 120` has schemathesis search, as each role and as nobody, a web door on a
filled database: examples at the edges of every parameter, random ones, and calls that follow from answers.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from service.db import people
from service.db.people import Role
from tests.make.serving import served
from tests.make.web import make_world

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
OPTIONS = (
    "--continue-on-failure",
    "--max-examples=20",
    # It warns where a role may do little, which is what roles are for.
    "--warnings=off",
    # It cannot write multipart/related; tests/integration/test_stow.py does.
    "--exclude-path-regex=^/dicomweb/",
)


def search(url: str, folder: Path, *, key: str | None, description: Path, seconds: int) -> bool:
    """Whether nothing was found for so long."""
    who = () if key is None else ("--header", f"Authorization: Bearer {key}")
    command = [SCHEMATHESIS, "--no-color", "run", description, "--url", url, *OPTIONS, *who]
    done = subprocess.run([*command, f"--max-time={seconds}"], cwd=folder, check=False)
    return done.returncode == 0


def main() -> int:
    """Search as each role in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=120)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        world = make_world(folder / "home")
        description = folder / "openapi.json"
        description.write_bytes(world.program("viewer").get("/api/openapi.json").content)
        with world.sessions.begin() as session:
            world.keys["sender"] = people.add_key(
                session, name="sender", role=Role.SENDER, now=world.now, actor="test"
            )
        callers: dict[str, str | None] = {**world.keys, "nobody": None}
        failed = []
        with served(world) as url:
            for role, key in callers.items():
                print(f"== as {role}", flush=True)
                share = max(1, seconds // len(callers))
                if not search(url, folder, key=key, description=description, seconds=share):
                    failed.append(role)
    print(f"Found something as {', '.join(failed)}." if failed else "Nothing was found.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
