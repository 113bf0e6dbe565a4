"""Norm tables and policies, read from TOML into the values that the core reckons with."""

import hashlib
import tomllib
from pathlib import Path
from typing import Any

from service.core.norms import Knot, NormTable
from service.core.risk import FlagRule, Policy
from service.errors import ConfigurationError, NormMismatch


def bundled_models_dir() -> Path:
    """The models that came with this program: inside the installed package, or in the source tree."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_models"
    return installed if installed.is_dir() else package.parent / "models"


def read_norms(models_dir: Path, ids: tuple[str, ...]) -> tuple[NormTable, ...]:
    """The named tables, in that order; raises NormMismatch with what is wrong in one."""
    return tuple(read_norm(models_dir / "norms" / f"{_safe_name(norm)}.toml") for norm in ids)


def list_norms(models_dir: Path) -> list[NormTable]:
    """Every table in the models folder."""
    return [read_norm(path) for path in sorted((models_dir / "norms").glob("*.toml"))]


def read_norm(path: Path) -> NormTable:
    """One table; its hash is part of every result that used it."""
    try:
        raw = path.read_bytes()
        content = tomllib.loads(raw.decode("utf-8"))
        return _norm(content, hashlib.sha256(raw).hexdigest())
    except FileNotFoundError as error:
        raise NormMismatch(f"There is no norm table {path.stem!r}.", reason="norm_missing") from error
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise NormMismatch(f"Norm table {path.name}: {error!r}", reason="bad_norm") from error


def read_policy(models_dir: Path, name: str) -> Policy:
    """The named policy; raises ConfigurationError with what is wrong in it."""
    path = models_dir / "policies" / f"{_safe_name(name)}.toml"
    try:
        return _policy(tomllib.loads(path.read_text("utf-8")))
    except FileNotFoundError as error:
        raise ConfigurationError(f"There is no policy {name!r}.") from error
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"Policy {path.name}: {error!r}") from error


def _safe_name(name: str) -> str:
    """A name from a setting must not leave its folder."""
    if Path(name).name != name or name.startswith("."):
        raise ConfigurationError(f"{name!r} is not a plain name.")
    return name


def _norm(content: dict[str, Any], sha256: str) -> NormTable:
    knots = {
        sex: tuple(Knot(**{key: float(value) for key, value in row.items()}) for row in rows)
        for sex, rows in content["knots"].items()
    }
    icc = content.get("measurement_icc")
    return NormTable(
        id=str(content["id"]),
        version=str(content["version"]),
        title=str(content["title"]),
        status=str(content["status"]),
        measure=str(content["measure"]),
        unit=str(content["unit"]),
        definitions=tuple(content["definitions"]),
        contrasts=tuple(content["contrasts"]),
        regions=tuple(content["regions"]),
        phantom_only=bool(content["phantom_only"]),
        population=content["population"],
        citation=content["citation"],
        sha256=sha256,
        effective_n=int(content["effective_n"]),
        measurement_icc=None if icc is None else float(icc),
        knots=knots,
    )


def _policy(content: dict[str, Any]) -> Policy:
    fat, lean = content["quadrant_measures"]
    rules = []
    for row in content["flag"]:
        if row["direction"] not in ("above", "below"):
            raise ValueError("direction must be above or below")
        rules.append(
            FlagRule(
                code=row["code"],
                measure=row["measure"],
                direction=row["direction"],
                z_threshold=float(row["z_threshold"]),
                sexes=tuple(row["sexes"]),
                text=row["text"],
            )
        )
    return Policy(
        id=content["id"], version=str(content["version"]), rules=tuple(rules), quadrant_measures=(fat, lean)
    )
