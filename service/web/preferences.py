"""What a browser is told to remember of how pages look: the language."""

from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request, Response

from service.web import language
from service.web.account import see_other
from service.web.auth import find_caller, require_token, set_cookie
from service.web.context import WebState

router = APIRouter(include_in_schema=False)

#: How long a browser remembers; chosen by us, because nobody wants to be asked every month.
REMEMBERED: Final = timedelta(days=365)


@router.post("/language")
def choose_language(
    *,
    request: Request,
    web: WebState,
    chosen: Annotated[str, Form(alias="language", max_length=8)] = "",
    back: Annotated[str, Form(max_length=500)] = "",
    csrf_token: Annotated[str, Form(max_length=128)] = "",
) -> Response:
    """Have this browser get its pages in that language; public, because the login page has it too."""
    caller = find_caller(request, web)
    if caller is not None:
        require_token(caller, csrf_token)
    response = see_other(language.safe_page(back))
    if known := language.known(chosen):
        set_cookie(response, web, name=language.COOKIE, value=known, lifetime=REMEMBERED)
    return response
