import service.web.oidc  # noqa: F401 - it and what it imports add errors of their own
from service import errors


def subclasses(kind):
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


def test_every_error_has_its_own_stable_code_and_says_what_it_is():
    kinds = [errors.ServiceError, *subclasses(errors.ServiceError)]
    codes = [kind.code for kind in kinds]
    assert len(set(codes)) == len(codes)
    assert all(kind.__doc__ for kind in kinds)


def test_the_tree_in_the_docstring_is_the_tree():
    for kind in subclasses(errors.ServiceError):
        if kind.__module__ == errors.__name__:
            assert kind.__name__ in errors.__doc__


def test_a_reason_carries_the_code_and_the_sentence():
    error = errors.UnreadableSeries("The pixels end early.", reason="truncated_pixels")
    assert error.reason == errors.Reason("truncated_pixels", "The pixels end early.")
    assert errors.UnreadableSeries().reason.code == "unreadable_series"


def test_only_what_may_succeed_later_is_tried_again():
    again = {kind.__name__ for kind in subclasses(errors.ServiceError) if kind.retry}
    assert again >= {"PeerUnreachable", "StoreRefused", "SpoolFull"}
    assert "ModelMismatch" not in again
