"""A models folder that a test may change, and the installation around it."""

import os
import shutil
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from service.core.activation import Kind
from service.db.activating import By
from service.errors import ModelMismatch
from service.pipeline.activation import Site
from service.pipeline.references import bundled_models_dir
from service.pipeline.smoke import Trial

NOW = datetime.fromisoformat("2026-06-01T08:00:00+00:00")
NAMES = {
    Kind.NETWORK: "paraspinal",
    Kind.NORMS: "provisional-fsf,demonstration-imat",
    Kind.POLICY: "default",
    Kind.RULES: "default",
}


def models_folder(folder: Path) -> Path:
    """The bundled tables, policy and rules, and the bundled network twice: once under another name."""
    bundled = bundled_models_dir()
    for part in ("norms", "policies", "rules"):
        shutil.copytree(bundled / part, folder / part)
    shutil.copytree(bundled / "paraspinal", folder / "paraspinal")
    shutil.copytree(folder / "paraspinal", folder / "next", copy_function=os.link)
    strict = (folder / "policies" / "default.toml").read_text("utf-8")
    strict = strict.replace('id = "default"', 'id = "strict"').replace(
        "z_threshold = 1.0", "z_threshold = 2.0"
    )
    (folder / "policies" / "strict.toml").write_text(strict, "utf-8")
    return folder


@dataclass
class Installation:
    """A site, and who acts there; networks are not tried but counted."""

    folder: Path
    names: dict[Kind, str] = field(default_factory=lambda: dict(NAMES))
    second_person: bool = False
    tried: list[str] = field(default_factory=list)
    silent: bool = False
    now: datetime = NOW

    @property
    def site(self) -> Site:
        """As a door builds it."""
        return Site(
            models_dir=self.folder,
            settings=self.names,
            second_person=self.second_person,
            trial=self._trial,
        )

    def by(self, actor: str = "anna") -> By:
        """Somebody, a minute later."""
        self.now += timedelta(minutes=1)
        return By(actor=actor, now=self.now, second_person=self.second_person)

    def _trial(self, folder: Path) -> Trial:
        self.tried.append(folder.name)
        if self.silent:
            raise ModelMismatch("The trial of the network failed.", reason="network_not_usable")
        return Trial(provider="CPUExecutionProvider", precision="fp32", found=0.9)
