"""Reference tables: look at them, make one of one's own measures, and try one on a cohort."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

import service
from service import files
from service.core.normfit_check import Estimate, Judgement, ScoredPeople
from service.core.normfit_cohort import Include, ReferencePerson, admit
from service.core.normfit_table import FEWEST_REPLICATES, REPLICATES, Plan
from service.core.norms import NormTable, value_at
from service.core.normtable import POPULATIONS, UNITS
from service.db.cohort import reference_people
from service.db.optouts import listed_studies
from service.db.session import make_sessions, reading, require_current
from service.pictures.norm_pictures import centile_figure, worm_figure
from service.pictures.overlay import png
from service.pipeline.cohort import definition_of, read_csv
from service.pipeline.normmaking import About, make_table, try_table
from service.pipeline.references import bundled_models_dir, list_norms, read_norm, read_norms
from service.settings import load

norms_app = typer.Typer(no_args_is_help=True, help="Reference tables by age and sex.")
#: z of the 5th, 50th and 95th percentile.
SHOWN_Z = (-1.644854, 0.0, 1.644854)
#: The cohort is clearly not like the people of the table: an answer, told apart from a failed call (1).
DOES_NOT_FIT = 3
#: Any number does; the same one gives the same table.
DEFAULT_SEED: Final = 20260727

Csv = Annotated[Path | None, typer.Argument(help="CSV of measures, such as `analyse --table` writes.")]
Database = Annotated[bool, typer.Option("--database", help="Current results of the service's database.")]
Definition = Annotated[str | None, typer.Option(help="Only values of this definition, as id@version.")]
Network = Annotated[str | None, typer.Option(help="Only values of this network, as name@version.")]
FatMethod = Annotated[str | None, typer.Option(help="Only values of this fat method.")]
Contrast = Annotated[str | None, typer.Option(help="Only this contrast, such as t2_tse.")]
Region = Annotated[str | None, typer.Option(help="Only this region, such as lumbar.")]
Scanner = Annotated[
    list[str] | None,
    typer.Option(help="Only this scanner (may be repeated); or whose the values of a CSV without one are."),
]
SexOf = Annotated[str | None, typer.Option("--sex", help="F or M: of one sex only.")]
Ages = Annotated[tuple[float, float] | None, typer.Option(help="Youngest and oldest, in years.")]
Coverage = Annotated[tuple[float, float] | None, typer.Option(help="Shortest and longest coverage, in mm.")]
Since = Annotated[str, typer.Option(help="First study date, as YYYYMMDD.")]
Until = Annotated[str, typer.Option(help="Last study date, as YYYYMMDD.")]
Pictures = Annotated[Path | None, typer.Option(help="Folder for centiles.png and worm.png.")]


@norms_app.command("list")
def norms_list() -> None:
    """List the reference tables of this installation."""
    for table in list_norms(_models_dir()):
        typer.echo(f"{table.reference}\t{table.status}\t{table.title}")


@norms_app.command("show")
def norms_show(norm: Annotated[str, typer.Argument(help="Id of a table.")]) -> None:
    """Show one table: where it is from, what it fits, and its 5th, 50th and 95th percentiles."""
    (table,) = read_norms(_models_dir(), (norm,))
    for name in ("title", "status", "measure", "unit", "citation", "effective_n", "sha256"):
        typer.echo(f"{name}: {getattr(table, name)}")
    people = table.people
    typer.echo(f"people: {people.text} ({people.kind}, n = {people.n}, ancestry {people.ancestry})")
    typer.echo(f"scanner: {people.scanner}")
    for name in ("definitions", "networks", "fat_methods", "contrasts", "regions"):
        typer.echo(f"{name}: {', '.join(getattr(table, name)) or 'not asked for'}")
    if table.coverage_mm is not None:
        typer.echo(f"coverage: {table.coverage_mm[0]:.0f} to {table.coverage_mm[1]:.0f} mm")
    if table.height is not None:
        typer.echo(f"height: divided by (height / {table.height.reference_m} m)^{table.height.exponent:.3g}")
    if table.phantom_only:
        typer.echo("for the bundled phantom only")
    _show_knots(table)


def _show_knots(table: NormTable) -> None:
    for sex, knots in table.knots.items():
        for knot in knots:
            low, middle, high = (value_at(z, knot) for z in SHOWN_Z)
            typer.echo(f"{sex} {knot.age_years:.0f} years: {low:.4g} / {middle:.4g} / {high:.4g}")


@norms_app.command("fit")
def norms_fit(
    measure: Annotated[str, typer.Option(help=f"One of {', '.join(UNITS)}.")],
    out: Annotated[Path, typer.Option(help="The new table; its name is its id.")],
    population: Annotated[str, typer.Option(help="Who the people are and how they were chosen, in words.")],
    kind: Annotated[str, typer.Option(help="healthy, hospital or general.")],
    csv: Csv = None,
    *,
    database: Database = False,
    ancestry: Annotated[str, typer.Option(help="In words.")] = "not recorded",
    citation: Annotated[str, typer.Option(help="Where the values are from.")] = "own measures",
    title: Annotated[str, typer.Option(help="One line; made from the rest by default.")] = "",
    version: Annotated[str, typer.Option(help="Of the table.")] = "1",
    definition: Definition = None,
    network: Network = None,
    fat_method: FatMethod = None,
    contrast: Contrast = None,
    region: Region = None,
    scanner: Scanner = None,
    sex: SexOf = None,
    ages: Ages = None,
    coverage: Coverage = None,
    since: Since = "",
    until: Until = "",
    height: Annotated[str | None, typer.Option(help="`estimate`, or the exponent of height.")] = None,
    for_site: Annotated[str | None, typer.Option(help="Whose values are scored, of several sites.")] = None,
    seed: Annotated[int, typer.Option(help="Of resampling; stands in the table.")] = DEFAULT_SEED,
    replicates: Annotated[int, typer.Option(min=FEWEST_REPLICATES)] = REPLICATES,
    pictures: Pictures = None,
) -> None:
    """Fit a local table to one's own measures. Research use only.

    No name, no identifier and no single value of a person stands in what is written.
    """
    _one_of("measure", measure, tuple(UNITS))
    _one_of("kind", kind, POPULATIONS[:-1])
    if out.suffix != ".toml" or out.exists() or not out.parent.is_dir():
        raise typer.BadParameter("must be a new file NAME.toml in a folder that exists", param_hint="--out")
    plan = Plan(seed=seed, replicates=replicates, height=_height(height), sexes=_sexes(sex))
    include = Include(
        definition=definition_of(measure, definition),
        network=network,
        fat_method=fat_method,
        contrast=contrast,
        region=region,
        scanners=tuple(scanner or ()),
        sexes=plan.sexes,
        ages=ages,
        coverage_mm=coverage,
        days=_days(since, until),
        height=plan.height is not None,
    )
    admitted = admit(_people(_Source(csv=csv, database=database), measure, include), include)
    for why, count in admitted.left_out.items():
        typer.echo(f"left out: {count} ({why})")
    typer.echo(f"people: {len(admitted.people)}; seed {seed}, {replicates} replicates")
    about = About(
        id=out.stem,
        version=version,
        measure=measure,
        kind=kind,
        population=population,
        ancestry=ancestry,
        citation=citation,
        title=title,
        for_site=for_site,
        software=f"myoscreen {service.__version__}",
    )
    made = make_table(admitted, plan, about)
    files.write_atomically(out, made.text.encode("utf-8"))
    for name, shift in {**made.fitted.scanner_shifts, **made.fitted.site_shifts}.items():
        typer.echo(f"effect of {name}: {shift:+.1%} of the average (log scale)")
    _tell(made.fitted.calibration, "held-out calibration")
    _draw(made.table, made.scored, pictures)
    typer.echo(f"{made.table.reference} ({made.table.status}) written to {out}. Research use only.")


@norms_app.command("check")
def norms_check(
    table: Annotated[str | None, typer.Argument(help="Id of a table, or a file.")] = None,
    *,
    cohort: Annotated[Path | None, typer.Option(help="CSV of measures to try the table on.")] = None,
    database: Database = False,
    scanner: Scanner = None,
    sex: SexOf = None,
    ages: Ages = None,
    since: Since = "",
    until: Until = "",
    pictures: Pictures = None,
) -> None:
    """Read every table and the configured selection, or try one table on a cohort.

    Exit status: 0 sound, fits, or not decided; 3 does not fit; 1 a table is at fault or the call failed.
    """
    if table is None:
        settings = load()
        tables = list_norms(_models_dir())
        read_norms(_models_dir(), settings.norms)
        typer.echo(f"{len(tables)} tables are sound; configured: {', '.join(settings.norms) or 'none'}")
        return
    found = _table(table)
    if cohort is None and not database:
        typer.echo(f"{found.reference} ({found.status}) is sound")
        return
    include = Include(
        # A CSV without these columns is taken to be what the table is for.
        definition=_only(found.definitions),
        network=_only(found.networks),
        fat_method=_only(found.fat_methods),
        contrast=_only(found.contrasts),
        region=_only(found.regions),
        coverage_mm=found.coverage_mm,
        scanners=tuple(scanner or ()),
        sexes=_sexes(sex),
        ages=ages,
        days=_days(since, until),
        height=found.height is not None,
    )
    admitted = admit(_people(_Source(csv=cohort, database=database), found.measure, include), include)
    trial = try_table(found, admitted.people, admitted.left_out)
    for why, count in trial.left_out.items():
        typer.echo(f"left out: {count} ({why})")
    _tell(trial.judgement, f"{found.reference} ({found.status}) on this cohort")
    _draw(found, trial.scored, pictures)
    if trial.judgement.verdict == "does not fit":
        raise typer.Exit(DOES_NOT_FIT)


@dataclass(frozen=True)
class _Source:
    """Where the measures come from: one of the two."""

    csv: Path | None
    database: bool


def _people(source: _Source, measure: str, include: Include) -> list[ReferencePerson]:
    if (source.csv is None) != source.database:
        raise typer.BadParameter("give either a CSV or --database")
    if source.csv is not None:
        read = read_csv(source.csv, measure, include)
        if not read.has_persons:
            typer.echo("the file has no column person: each line counts as another person")
        return list(read.people)
    settings = load()
    url = settings.resolved_database_url
    require_current(url)
    with reading(make_sessions(url)) as session:
        without = listed_studies(session, settings.home)
        if without:
            typer.echo(f"left out: {len(without)} studies of patients on the opt-out list")
        people = reference_people(session, measure, definition=definition_of(measure, None), without=without)
        return list(people)


def _table(name: str) -> NormTable:
    """A table of this installation by its id, or one in a file."""
    if name.endswith(".toml"):
        return read_norm(Path(name))
    (found,) = read_norms(_models_dir(), (name,))
    return found


def _tell(judgement: Judgement, what: str) -> None:
    """The statistics of each group, and the verdict in words."""
    typer.echo("group\tn\tmean z\tSD of z\tbelow -1.645\tabove 1.645\tbeyond 1.96")
    for group in judgement.groups:
        shares = "\t".join(_share(each) for each in (group.below, group.above, group.beyond))
        typer.echo(
            f"{group.name}\t{group.n}\t{_number(group.mean, '+.2f')}\t{_number(group.sd, '.2f')}\t{shares}"
        )
    typer.echo("\n".join([f"{what}: {judgement.verdict}", *(f"  {why}" for why in judgement.why)]))


def _number(estimate: Estimate, form: str) -> str:
    low, high = estimate.ci95
    return f"{estimate.value:{form}} [{low:{form}} to {high:{form}}]"


def _share(estimate: Estimate) -> str:
    return f"{estimate.value:.1%} [{estimate.ci95[0]:.1%} to {estimate.ci95[1]:.1%}]"


def _draw(table: NormTable, people: ScoredPeople, folder: Path | None) -> None:
    if folder is None:
        return
    files.make_private_dir(folder)
    files.write_atomically(folder / "centiles.png", png(centile_figure(table, people)))
    title = f"Worm plot: {table.title}, {table.reference} ({table.status})"
    files.write_atomically(folder / "worm.png", png(worm_figure(people, title)))
    typer.echo(f"pictures: {folder / 'centiles.png'}, {folder / 'worm.png'}")


def _only(names: tuple[str, ...]) -> str | None:
    """The one name; None where there are more or none."""
    return names[0] if len(names) == 1 else None


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise typer.BadParameter(f"must be one of {', '.join(allowed)}", param_hint=f"--{option}")


def _sexes(sex: str | None) -> tuple[str, ...]:
    if sex is None:
        return ("F", "M")
    _one_of("sex", sex, ("F", "M"))
    return (sex,)


def _days(since: str, until: str) -> tuple[str, str] | None:
    for day in (since, until):
        if day and not re.fullmatch(r"\d{8}", day):
            raise typer.BadParameter(f"{day!r} is not YYYYMMDD")
    return (since or "0" * 8, until or "9" * 8) if since or until else None


def _height(text: str | None) -> float | str | None:
    if text is None or text == "estimate":
        return text
    try:
        return float(text)
    except ValueError as error:
        raise typer.BadParameter("must be `estimate` or a number", param_hint="--height") from error


def _models_dir() -> Path:
    """The folder of this installation's networks, norms and policies."""
    return load().models_dir or bundled_models_dir()


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(norms_app, name="norms")
