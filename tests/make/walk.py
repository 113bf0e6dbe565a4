"""The pages as people walk them: a door that holds every kind of result, and a browser that looks closely."""

import contextlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from service.core.activation import Kind
from service.core.finding import AutomaticTotals, Edited, SegmentAgreement, StationSection
from service.core.mask import COLOURS
from service.core.series import BlockPlace
from service.core.status import DeliveryState, Difference
from service.db import activating, logins, openings, optouts, retention, reviews, withdrawals, worklist
from service.db.session import Session
from service.db.tables import Analysis, Delivery, SetAside, User, WebSession
from service.pipeline import equipment
from service.pipeline.references import bundled_models_dir
from service.pipeline.slicefiles import (
    DRAWING_NAME,
    IMAGES_NAME,
    INDEX,
    SliceFacts,
    SliceIndex,
    image_name,
    layer_name,
)
from service.settings import Oidc
from service.web.auth import COOKIE, GRANTS, Permission
from service.web.language import COOKIE as LANGUAGE_COOKIE
from tests.make import ledger
from tests.make.population import Crowd
from tests.make.population import fill as fill_crowd
from tests.make.serving import served
from tests.make.web import USERS, World, make_world


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page: what it is called in these tests, its address, and what a caller must be allowed to."""

    name: str
    path: str
    needs: Permission


def _of(needs: Permission, **paths: str) -> tuple[Page, ...]:
    return tuple(Page(name=name, path=path, needs=needs) for name, path in paths.items())


#: Every page, with what it shows; ``{...}`` is an analysis of the walked world.
PAGES: tuple[Page, ...] = (
    *_of(
        Permission.RESULTS,
        list="/?cursor=1000",
        list_filtered="/?state=failed&flag=imat_high",
        worklist="/worklist?show=all",
        population="/population?by=scanner",
        flagged="/analyses/{flagged}",
        plain="/analyses/{plain}",
        withheld="/analyses/{not_assessable}",
        not_eligible="/analyses/{not_eligible}",
        failed="/analyses/{failed}",
        running="/analyses/{running}",
        ready="/analyses/{ready}",
        superseded="/analyses/{superseded}",
        withdrawn="/analyses/{withdrawn}",
        stations="/analyses/{stations}",
        block="/analyses/{block}",
        held="/analyses/{held}",
        edited="/analyses/{edited}",
        compare="/compare/{superseded}/{flagged}",
        choice="/studies/1/choice",
        reviews="/reviews",
        not_found="/analyses/999999",
    ),
    *_of(Permission.STATUS, funnel="/funnel?window=all", rules="/rules", status="/status"),
    *_of(Permission.OPERATE, optouts="/opt-outs"),
    *_of(Permission.AUDIT, audit="/audit", activations="/activations", openings="/openings"),
    *_of(Permission.PEOPLE, people="/people"),
    *_of(Permission.ACCOUNT, account="/account"),
)


#: What everybody may see without a login.
PUBLIC = _of(
    Permission.ACCOUNT,
    login="/login?next=/status",
    login_ended="/login?ended=1",
    login_refused="/login/oidc?next=/status",
)
#: A provider that nobody answers for, so that the last of these pages says so.
PROVIDER = Oidc(
    issuer="https://127.0.0.1:9/realms/hospital",
    client_id="myoscreen",
    url="http://127.0.0.1",
    label="Klinikum",
    roles={"viewer": ("readers",)},
)


@dataclass(frozen=True, kw_only=True)
class Walked:
    """A running door, who may log in with which cookie, and the analyses by what they show."""

    base: str
    world: World
    tokens: dict[str, str]
    ids: dict[str, int]

    def address(self, page: Page) -> str:
        """Where that page is."""
        return self.base + page.path.format(**self.ids)

    def pages_of(self, name: str) -> list[Page]:
        """The pages that this user may see; who is no user sees the public ones."""
        if name not in USERS:
            return list(PUBLIC)
        granted = GRANTS[USERS[name]]
        return [page for page in PAGES if page.needs in granted]

    def cookies(self, name: str, language: str) -> list[dict[str, str]]:
        """What the browser of this user carries."""
        carried = {LANGUAGE_COOKIE: language} | ({COOKIE: self.tokens[name]} if name in self.tokens else {})
        return [{"name": key, "value": value, "url": self.base} for key, value in carried.items()]


def _variant(session: Session, home: Path, key: str, **series: Any) -> Analysis:
    """One more measured result, whose series section differs so."""
    analysis = ledger._measured(session, home, key, ledger.NOW - timedelta(hours=6), imat=0.2)
    finding = ledger.make_finding(imat=0.2)
    assert finding.series is not None
    analysis.finding = replace(finding, series=replace(finding.series, **series)).as_dict()
    return analysis


def _block(session: Session, home: Path) -> Analysis:
    analysis = _variant(session, home, "21", block=BlockPlace(number=2, of=3), slices=4)
    measures = analysis.finding["measures"] if analysis.finding else {}
    for side in ("left", "right", "total"):
        measures[side] |= dict.fromkeys(("compartment_ml", "lmm_ml", "imat_ml"))
    measures["asymmetry"]["compartment_ml"] = None
    return analysis


def _stations(session: Session, home: Path) -> Analysis:
    facts = {"stack": 0, "slices": 40}
    return _variant(
        session,
        home,
        "22",
        stations=(
            StationSection(series_uid="1.2.3.22.1", counted_slices=40, left_out=(), **facts),
            StationSection(series_uid="1.2.3.22.2", counted_slices=31, left_out=(), **facts),
            StationSection(series_uid="1.2.3.22.3", counted_slices=0, left_out=("no_signal_void",), **facts),
        ),
    )


def _held(session: Session, home: Path) -> Analysis:
    analysis = ledger._measured(session, home, "23", ledger.NOW - timedelta(hours=7), imat=0.19)
    for output in analysis.outputs:
        session.add(
            Delivery(
                output_id=output.id,
                analysis_id=analysis.id,
                peer="pacs",
                state=DeliveryState.HELD,
                attempts=0,
                created_at=ledger.NOW,
            )
        )
    return analysis


def _edited(session: Session, home: Path) -> Analysis:
    """A result whose drawing a person edited."""
    analysis = ledger._measured(session, home, "25", ledger.NOW - timedelta(hours=9), imat=0.21)
    edited = Edited(
        algorithm_type="SEMIAUTOMATIC",
        by="Muster^Rita",
        at="2026-11-20T05:00:00+00:00",
        made_with="3D Slicer",
        sop_instance_uid="2.25.77",
        sha256="7" * 64,
        peer="viewer",
        corrects="2.25.76",
        automatic=AutomaticTotals(compartment_ml=412.0, lmm_ml=330.0, imat_ml=82.0, imat_fraction=0.2),
        agreement=(
            SegmentAgreement(segment="lean_left", dice=0.93, automatic_ml=165.0, edited_ml=171.5),
            SegmentAgreement(segment="imat_left", dice=0.81, automatic_ml=41.0, edited_ml=None),
        ),
    )
    finding = ledger.make_finding(imat=0.21)
    analysis.finding = replace(finding, edited=edited, scores=(), flags=()).as_dict()
    return analysis


def _came_again(session: Session, analysis: Analysis) -> None:
    """One image of it came again with other pixels, one under another identity."""
    series = analysis.inputs[0].series
    for instance, difference in zip(
        series.instances, (Difference.CONFLICT, Difference.IDENTITY), strict=False
    ):
        session.add(
            SetAside(
                instance_id=instance.id,
                series_id=series.id,
                difference=difference,
                detail="pixels",
                calling_ae="MR1",
                transfer_syntax_uid="1.2.840.10008.1.2.1",
                path=f"aside/{instance.id}",
                sha256="1" * 64,
                size=1,
                study_uid="1.2.3.77",
                series_uid="1.2.3.77.1",
                received_at=ledger.NOW,
                last_at=ledger.NOW,
                count=1,
            )
        )


def _profile(analysis: Analysis) -> None:
    """Its muscles along the spine: the more fat the lower."""
    assert analysis.finding is not None
    points = [
        {
            "position_mm": 5.0 * place,
            "left_lean_cm2": 5.5 + 0.09 * place,
            "left_fat_cm2": 4.5 - 0.1 * place,
            "right_lean_cm2": 5.3 + 0.09 * place,
            "right_fat_cm2": 4.2 - 0.1 * place,
        }
        for place in range(40)
    ]
    # Another object, so that the change is seen.
    analysis.finding = analysis.finding | {"measures": analysis.finding["measures"] | {"profile": points}}


def _slices(world: World) -> None:
    """Six slices of the flagged result, with a drawing on each."""
    with world.sessions() as session:
        folder = session.get_one(Analysis, world.ids.flagged).result_path
    facts = [
        SliceFacts(
            number=place, count=6, height_mm=5.0 * (place - 1), station=None, drawn=True, elsewhere=False,
            letters=("R", "L", "A", "P"), size_px=(320, 240),
        )
        for place in range(1, 7)
    ]  # fmt: skip
    colours = {label.name: colour for label, colour in COLOURS.items()}
    picture = ledger.picture(seed=1)
    index = SliceIndex(slices=tuple(facts), fat_separated=True, colours=colours, shrink=2)
    with zipfile.ZipFile(world.home / str(folder) / DRAWING_NAME, "w") as archive:
        archive.writestr(INDEX, index.as_json())
        for place in range(1, 7):
            archive.writestr(layer_name(place), picture)
    with zipfile.ZipFile(world.home / str(folder) / IMAGES_NAME, "w") as archive:
        for place in range(1, 7):
            archive.writestr(image_name(place), picture)


def _results(world: World) -> dict[str, int]:
    """Results that the ledger of the other tests does not have, and a crowd for the population."""
    with world.sessions.begin() as session:
        made = {
            "block": _block(session, world.home),
            "stations": _stations(session, world.home),
            "held": _held(session, world.home),
            "edited": _edited(session, world.home),
            "withdrawn": ledger._measured(
                session, world.home, "24", ledger.NOW - timedelta(hours=8), imat=0.3, raised=True
            ),
        }
        flagged = session.get_one(Analysis, world.ids.flagged)
        _came_again(session, flagged)
        _profile(flagged)
        ids = {name: analysis.id for name, analysis in made.items()}
        fill_crowd(session, Crowd(results=400, drift=1.4), first_id=1001)
    return ids


def _deeds(world: World, ids: dict[str, int]) -> None:
    """What people did about them."""
    who: Any = {"actor": "rita", "now": ledger.NOW}
    flagged = world.ids.flagged
    with world.sessions.begin() as session:
        withdrawals.withdraw(session, ids["withdrawn"], reason="wrong_drawing", comment="as seen", **who)
        for actor, verdict in (("rita", "minor"), ("anna", "accept")):
            reviews.add(session, flagged, verdict=verdict, actor=actor, now=ledger.NOW, comment="left L4")
        worklist.add(session, flagged, step="hand_over", to_user="rita", comment="see", **who)
        study_id = session.get_one(Analysis, flagged).study_id
        retention.set_hold(session, study_id, reason="trial 7", **who)
        optouts.add(session, world.home, ("PID-9", ""), reason="asked", **who)
        for kind, name in (("network", "paraspinal"), ("policy", "default")):
            thing = equipment.describe(Kind(kind), name, bundled_models_dir())
            by = activating.By(actor="otto", now=ledger.NOW, second_person=False)
            activating.submit(session, thing, by)


def _logins(world: World) -> dict[str, str]:
    """A cookie for each user; the auditor has opened results with a reason."""
    with world.sessions.begin() as session:
        people = {user.name: user.id for user in session.query(User)}
        idle = timedelta(days=1)
        tokens = {
            name: logins.finish_login(session, user_id=key, now=ledger.NOW, idle=idle)
            for name, key in people.items()
        }
        session.flush()
        login = session.query(WebSession).filter_by(user_id=people["audrey"]).one()
        until = ledger.NOW + timedelta(minutes=20)
        openings.begin(
            session, session_id=login.id, actor="audrey", role="auditor", reason="complaint 12 of a patient",
            now=ledger.NOW, until=until,
        )  # fmt: skip
    return tokens


@contextlib.contextmanager
def walked(home: Path) -> Iterator[Walked]:
    """A filled door on a port of its own, in a thread of this process."""
    world = make_world(home)
    world.settings = world.settings.model_copy(
        update={
            "break_glass": True,
            "activation_second_person": True,
            "oidc": PROVIDER,
            "viewer_url": "https://viewer.example/open?study={study_uid}",
        }
    )
    ids = {**vars(world.ids), **_results(world)}
    _slices(world)
    _deeds(world, ids)
    tokens = _logins(world)
    with served(world) as base:
        yield Walked(base=base, world=world, tokens=tokens, ids=ids)
