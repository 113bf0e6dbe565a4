"""The peers: how they stand, and what is asked of them by a program or, through pages, by a person."""

import time
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

from service.core.circuit import CircuitState
from service.db import circuits, deliveries, orders, overview
from service.db.session import reading
from service.settings import Peer
from service.web import monitor, peering_shapes
from service.web.api import CONFLICT, PROBLEMS
from service.web.auth import Caller, MayOperate, MayStatus, check_api_token
from service.web.context import Web, WebState, client_address
from service.web.problems import Problem, not_found

router = APIRouter(prefix="/api/v1", dependencies=[Depends(check_api_token)], responses=PROBLEMS)


@router.get("/peers", tags=["peers"])
def get_peers(web: WebState, caller: MayStatus) -> peering_shapes.PeerList:
    """The peers of the settings, and how deliveries to each stand."""
    del caller
    with reading(web.sessions) as session:
        traffic, facts = overview.peer_traffic(session), circuits.all_circuits(session)
    return peering_shapes.PeerList(items=monitor.peers(web, traffic, facts))


def known_peer(web: Web, name: str) -> Peer:
    """A peer of the settings."""
    peer = next((peer for peer in web.settings.peer if peer.name == name), None)
    if peer is None:
        raise not_found("peer")
    return peer


def reset_peer(request: Request, web: Web, caller: Caller, name: str) -> None:
    """Have everything that waits for a peer go at once, and write it down."""
    peer = known_peer(web, name)
    with web.sessions.begin() as session:
        circuits.reset(
            session, peer.name, actor=caller.actor, now=web.clock(), address=client_address(request)
        )


def retry_peer(request: Request, web: Web, caller: Caller, name: str) -> int:
    """Send everything again that was given up for a peer, and write it down; how many objects."""
    peer = known_peer(web, name)
    with web.sessions.begin() as session:
        count = orders.order_retry_of_peer(session, peer.name, now=web.clock())
    web.audit(
        request,
        caller.actor,
        "peer_retry_ordered",
        object_type="peer",
        object_id=peer.name,
        detail={"deliveries": count},
    )
    return count


def give_up_peer(request: Request, web: Web, caller: Caller, name: str) -> int:
    """Give up all that waits for a peer, of the settings or not, and write it down; how many objects."""
    with web.sessions.begin() as session:
        count = deliveries.give_up_peer(session, name)
    if not count:
        known_peer(web, name)
    web.audit(
        request,
        caller.actor,
        "peer_given_up",
        object_type="peer",
        object_id=name,
        detail={"deliveries": count},
    )
    return count


def echo(request: Request, web: Web, caller: Caller, name: str) -> float:
    """C-ECHO a peer of the settings and write it down; return the seconds it took."""
    peer = known_peer(web, name)
    if peer.port is None:
        raise Problem(
            HTTPStatus.CONFLICT, "peer_without_port", "This peer has no port, so there is nothing to C-ECHO."
        )
    web.audit(request, caller.actor, "peer_echoed", object_type="peer", object_id=peer.name)
    started = time.perf_counter()
    web.neighbours.echo(peer, web.settings)
    return time.perf_counter() - started


@router.post(
    "/peers/{name}/echo",
    tags=["peers"],
    responses={
        **CONFLICT,
        HTTPStatus.BAD_GATEWAY: {**CONFLICT[HTTPStatus.CONFLICT], "description": "It did not answer."},
    },
)
def post_echo(
    request: Request, web: WebState, caller: MayOperate, name: Annotated[str, Path(max_length=64)]
) -> peering_shapes.EchoResult:
    """C-ECHO a peer, now."""
    return peering_shapes.EchoResult(peer=name, ok=True, seconds=round(echo(request, web, caller, name), 3))


@router.post("/peers/{name}/reset", tags=["peers"])
def post_reset(
    request: Request, web: WebState, caller: MayOperate, name: Annotated[str, Path(max_length=64)]
) -> peering_shapes.PeerReset:
    """Forget that a peer could not be reached: everything that waits for it goes at once."""
    reset_peer(request, web, caller, name)
    return peering_shapes.PeerReset(peer=name, circuit=CircuitState.CLOSED)


@router.post("/peers/{name}/retry", tags=["peers"], status_code=HTTPStatus.ACCEPTED)
def post_retry_all(
    request: Request, web: WebState, caller: MayOperate, name: Annotated[str, Path(max_length=64)]
) -> peering_shapes.PeerRetried:
    """Send everything again that was given up for a peer."""
    return peering_shapes.PeerRetried(peer=name, deliveries=retry_peer(request, web, caller, name))


@router.post("/peers/{name}/give-up", tags=["peers"])
def post_give_up(
    request: Request, web: WebState, caller: MayOperate, name: Annotated[str, Path(max_length=64)]
) -> peering_shapes.PeerGivenUp:
    """Give up everything that waits for a peer, also for one that is no longer in the settings."""
    return peering_shapes.PeerGivenUp(peer=name, deliveries=give_up_peer(request, web, caller, name))
