"""A result slice by slice: finished pictures that lie in its folder, handed out one at a time.

Nothing is decoded here: whoever read the images drew the pictures (``service.pipeline.slicing``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel

from service.db import views
from service.db.session import reading
from service.db.shapes import AnalysisDetail
from service.files import within
from service.pipeline.slicefiles import (
    DRAWING_NAME,
    IMAGES_NAME,
    SliceFacts,
    image_name,
    layer_name,
    read_index,
    read_picture,
)
from service.web import api
from service.web.api import PROBLEMS, AnalysisId
from service.web.auth import Caller, MayResults, check_api_token
from service.web.context import Web, WebState
from service.web.etags import matches
from service.web.problems import not_found

router = APIRouter(prefix="/api/v1", dependencies=[Depends(check_api_token)], responses=PROBLEMS)

#: A browser may keep a picture for its own user, and asks each time whether it may still show it.
CACHING = "private, no-cache"
#: Two heights are of the same slice; rounding alone lies between them.
SAME_MM = 0.05
#: More slices than any study; chosen by us.
MOST_SLICES = 100_000

Place = Annotated[int, Path(ge=1, le=MOST_SLICES, description="of the slice, from 1 at the caudal end")]


class Areas(BaseModel):
    """What one slice holds, in cm2; left is the patient's left."""

    left_lean_cm2: float
    left_fat_cm2: float
    right_lean_cm2: float
    right_fat_cm2: float


class SliceShape(BaseModel):
    """One slice, and where its pictures are."""

    #: From 1 at the caudal end.
    place: int
    #: As in the summary picture: in the order of the stack.
    number: int
    count: int
    height_mm: float
    station: int | None
    drawn: bool
    #: Another station counts this place.
    elsewhere: bool
    letters: tuple[str, str, str, str]
    width: int
    height: int
    image: str | None
    drawing: str | None
    areas: Areas | None


class SliceList(BaseModel):
    """All slices of a result, from the caudal end."""

    #: So many times smaller than received; null where the images are not there.
    shrink: int | None
    fat_separated: bool | None
    #: Colours of the drawing by label, red, green, blue.
    colours: dict[str, tuple[int, int, int]]
    items: list[SliceShape]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What the page shows of the slices."""

    slices: SliceList
    current: SliceShape
    #: Whether the drawing is laid over.
    overlay: bool

    @property
    def last(self) -> int:
        """The place of the most cranial slice."""
        return len(self.slices.items)


@router.get("/analyses/{analysis_id}/slices", tags=["slices"])
def get_slices(request: Request, web: WebState, caller: MayResults, analysis_id: AnalysisId) -> SliceList:
    """All slices of a result from the caudal end, and where their pictures are."""
    detail = api.load(web, analysis_id)
    found = slices_of(web, detail)
    if found is None:
        raise not_found("picture of a slice")
    _note(request, web, caller, analysis_id)
    return found


_PICTURE: Mapping[str, Any] = {
    "tags": ["slices"],
    "response_class": Response,
    "responses": {
        HTTPStatus.OK: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}},
        HTTPStatus.NOT_MODIFIED: {"description": "The picture that was handed back in If-None-Match."},
    },
}


@router.get("/analyses/{analysis_id}/slices/{place}", **_PICTURE)
def get_slice(
    request: Request, web: WebState, caller: MayResults, analysis_id: AnalysisId, place: Place
) -> Response:
    """One image in grey, in the window of the summary picture: the patient's left on the right."""
    return _picture(request, web, caller, analysis_id, (IMAGES_NAME, image_name(place)))


@router.get("/analyses/{analysis_id}/drawings/{place}", **_PICTURE)
def get_drawing(
    request: Request, web: WebState, caller: MayResults, analysis_id: AnalysisId, place: Place
) -> Response:
    """The drawing of one slice, to lay over its image; transparent elsewhere."""
    return _picture(request, web, caller, analysis_id, (DRAWING_NAME, layer_name(place)))


def _picture(
    request: Request, web: Web, caller: Caller, analysis_id: int, where: tuple[str, str]
) -> Response:
    """One picture of an archive in the folder of a result; ``where`` names both."""
    archive, name = where
    with reading(web.sessions) as session:
        path = views.result_path(session, analysis_id)
    folder = _folder(web, path)
    picture = None if folder is None else read_picture(folder / archive, name)
    if picture is None:
        raise not_found("picture of a slice")
    _note(request, web, caller, analysis_id)
    headers = {"ETag": f'"{picture.tag}"', "Cache-Control": CACHING}
    if matches(headers["ETag"], request.headers.getlist("if-none-match")):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(picture.content, media_type="image/png", headers=headers)


def _note(request: Request, web: Web, caller: Caller, analysis_id: int) -> None:
    """Write down that somebody looks through the slices, once for each look."""
    who = caller.actor if caller.opening_id is None else f"{caller.actor} by opening {caller.opening_id}"
    if not web.looks.is_new(who, analysis_id, web.clock()):
        return
    try:
        api.note_access(request, web, caller, "slices_viewed", analysis_id)
    except BaseException:
        web.looks.forget(who, analysis_id)
        raise


def slices_of(web: Web, detail: AnalysisDetail) -> SliceList | None:
    """The slices of a result with the addresses of their pictures; None where there are none."""
    folder = _folder(web, detail.result_path)
    index = None if folder is None else read_index(folder)
    if folder is None or index is None or not index.slices:
        return None
    has_images = index.shrink is not None and (folder / IMAGES_NAME).is_file()
    profile = ((detail.finding or {}).get("measures") or {}).get("profile") or []
    at = f"/api/v1/analyses/{detail.id}"
    return SliceList(
        shrink=index.shrink if has_images else None,
        fat_separated=index.fat_separated,
        colours=index.colours,
        items=[
            _shape(each, place, at, has_images=has_images, areas=_areas(each, profile))
            for place, each in enumerate(index.slices, 1)
        ],
    )


def _shape(each: SliceFacts, place: int, at: str, *, has_images: bool, areas: Areas | None) -> SliceShape:
    return SliceShape(
        place=place,
        number=each.number,
        count=each.count,
        height_mm=each.height_mm,
        station=each.station,
        drawn=each.drawn,
        elsewhere=each.elsewhere,
        letters=each.letters,
        width=each.size_px[0],
        height=each.size_px[1],
        image=f"{at}/slices/{place}" if has_images else None,
        drawing=f"{at}/drawings/{place}" if each.drawn else None,
        areas=areas,
    )


def _areas(each: SliceFacts, profile: list[dict[str, Any]]) -> Areas | None:
    """What the finding counted on this slice; None where nothing was, or fat could not be told."""
    if not each.drawn or each.elsewhere:
        return None
    point = next((one for one in profile if abs(one["position_mm"] - each.height_mm) < SAME_MM), None)
    if point is None or point["left_lean_cm2"] is None:
        return None
    return Areas(**{name: round(point[name], 2) for name in Areas.model_fields})


def shown(web: Web, detail: AnalysisDetail, *, wanted: int | None, overlay: bool) -> Shown | None:
    """What the page shows; without a wanted slice the middle one of those that are drawn on."""
    slices = slices_of(web, detail)
    if slices is None or not any(each.image or each.drawing for each in slices.items):
        return None
    drawn = [each.place for each in slices.items if each.drawn] or [each.place for each in slices.items]
    place = drawn[len(drawn) // 2] if wanted is None else min(wanted, len(slices.items))
    return Shown(slices=slices, current=slices.items[place - 1], overlay=overlay)


def _folder(web: Web, result_path: str | None) -> FilePath | None:
    """The folder of a result below HOME, whatever stands in the database."""
    try:
        return None if result_path is None else within(web.settings.home, result_path)
    except ValueError:
        return None
