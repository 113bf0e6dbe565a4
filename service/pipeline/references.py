"""Norm tables and policies, read from TOML into the values that the core reckons with."""

import hashlib
import tomllib
from pathlib import Path
from typing import Any

from service.core.norms import Band, HeightModel, Knot, NormTable, ReferencePeople
from service.core.normtable import UNITS
from service.core.risk import FlagRule, Policy
from service.core.rulefile import parse_rules
from service.core.rules import Rules
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
    except FileNotFoundError as error:
        raise NormMismatch(f"There is no norm table {path.stem!r}.", reason="norm_missing") from error
    return parse_norm(raw, path.name)


def parse_norm(raw: bytes, name: str) -> NormTable:
    """A table from the bytes of its file; ``name`` is for what is said of a bad one."""
    try:
        content = tomllib.loads(raw.decode("utf-8"))
        return _norm(content, hashlib.sha256(raw).hexdigest())
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise NormMismatch(f"Norm table {name}: {error!r}", reason="bad_norm") from error


def read_policy(models_dir: Path, name: str) -> Policy:
    """The named policy; raises ConfigurationError with what is wrong in it."""
    path = models_dir / "policies" / f"{_safe_name(name)}.toml"
    try:
        return _policy(tomllib.loads(path.read_text("utf-8")))
    except FileNotFoundError as error:
        raise ConfigurationError(f"There is no policy {name!r}.") from error
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"Policy {path.name}: {error!r}") from error


def read_rules(models_dir: Path, name: str) -> Rules:
    """The rules of that name, or in the file at that path; raises ConfigurationError with what is wrong.

    A models folder of one's own need not have the bundled ones.
    """
    return read_rules_file(rules_path(models_dir, name))


def rules_path(models_dir: Path, name: str) -> Path:
    """Where the rules of that name lie, whether or not they are there."""
    if name.endswith(".toml"):
        return Path(name).expanduser()
    own = models_dir / "rules" / f"{_safe_name(name)}.toml"
    return own if own.is_file() else bundled_models_dir() / "rules" / own.name


def read_rules_file(path: Path) -> Rules:
    """The rules in a file; raises ConfigurationError with the file, the key and what is wrong."""
    try:
        raw = path.read_bytes()
        content = tomllib.loads(raw.decode("utf-8"))
    except FileNotFoundError as error:
        raise ConfigurationError(f"There are no rules {path.name!r}.", reason="rules_missing") from error
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"Rules {path.name}: {error}", reason="bad_rules") from error
    return parse_rules(content, file=path.name, sha256=hashlib.sha256(raw).hexdigest())


def _safe_name(name: str) -> str:
    """A name from a setting must not leave its folder."""
    if Path(name).name != name or name.startswith("."):
        raise ConfigurationError(f"{name!r} is not a plain name.")
    return name


def _norm(content: dict[str, Any], sha256: str) -> NormTable:
    icc, height = content.get("measurement_icc"), content.get("height")
    if content["unit"] != UNITS.get(content["measure"], content["unit"]):
        raise ValueError(f"{content['measure']} is measured in {UNITS[content['measure']]!r}")
    if content["status"] == "demonstration" and not content["phantom_only"]:
        raise ValueError("a demonstration scores the phantom alone")
    return NormTable(
        id=str(content["id"]),
        version=str(content["version"]),
        title=str(content["title"]),
        status=str(content["status"]),
        measure=str(content["measure"]),
        unit=str(content["unit"]),
        definitions=tuple(content["definitions"]),
        networks=tuple(content.get("networks", ())),
        fat_methods=tuple(content.get("fat_methods", ())),
        contrasts=tuple(content["contrasts"]),
        regions=tuple(content["regions"]),
        coverage_mm=_range(content["coverage_mm"]) if "coverage_mm" in content else None,
        scanner_shifts={str(name): float(shift) for name, shift in content.get("scanner_shifts", {}).items()},
        height=HeightModel(**{key: float(value) for key, value in height.items()}) if height else None,
        phantom_only=bool(content["phantom_only"]),
        people=_people(content["people"]),
        citation=str(content["citation"]),
        sha256=sha256,
        effective_n=int(content["effective_n"]),
        measurement_icc=None if icc is None else float(icc),
        knots={sex: tuple(_knot(row) for row in rows) for sex, rows in content["knots"].items()},
        bands={sex: tuple(_band(row) for row in rows) for sex, rows in content.get("bands", {}).items()},
    )


def _people(content: dict[str, Any]) -> ReferencePeople:
    return ReferencePeople(
        kind=str(content["kind"]),
        text=str(content["text"]),
        ancestry=str(content["ancestry"]),
        scanner=str(content["scanner"]),
        n=int(content["n"]),
        n_by_sex={str(sex): int(number) for sex, number in content.get("n_by_sex", {}).items()},
        age_years=_range(content["age_years"]),
    )


def _knot(row: dict[str, Any]) -> Knot:
    z_se = tuple(float(error) for error in row.get("z_se", ()))
    return Knot(**{name: float(row[name]) for name in ("age_years", "l", "m", "s")}, z_se=z_se)


def _band(row: dict[str, Any]) -> Band:
    p5, p50, p95 = (_range(row[name]) for name in ("p5", "p50", "p95"))
    return Band(age_years=float(row["age_years"]), p5=p5, p50=p50, p95=p95)


def _range(pair: list[Any]) -> tuple[float, float]:
    low, high = pair
    return float(low), float(high)


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
                evidence=row["evidence"],
            )
        )
    return Policy(
        id=content["id"], version=str(content["version"]), rules=tuple(rules), quadrant_measures=(fat, lean)
    )
