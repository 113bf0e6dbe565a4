"""The audit record as a chain: whatever is done to it afterwards is found."""

from dataclasses import replace

import pytest

from service.core.chain import EXPLAINED, GENESIS, Fault, Link, link_hash, signed_head, verify

KEY = b"0123456789abcdef0123456789abcdef"


def chain(contents):
    """Sealed lines that say these things."""
    links, previous = [], GENESIS
    for number, content in enumerate(contents, start=1):
        previous = link_hash(previous, number, content)
        links.append(Link(number=number, hash=previous, content=content))
    return links


def sealed_anew(links):
    """What somebody makes of changed lines who computes every hash again."""
    return chain([link.content for link in links])


def head(links, count, key=KEY):
    return signed_head(at="2026-11-22T10:00:00+00:00", count=count, last_hash=links[count - 1].hash, key=key)


LINES = [{"action": "login", "actor": name, "detail": {"rows": n}} for n, name in enumerate("abcdef")]
WHOLE = chain(LINES)


def kinds(links, heads=()):
    return [(fault.kind, fault.number) for fault in verify(links, heads, [KEY]).faults]


def test_a_whole_chain_has_no_fault_and_says_how_far_it_is_anchored():
    verdict = verify(WHOLE, [head(WHOLE, 2), head(WHOLE, 4)], [KEY])
    assert verdict.faults == ()
    assert (verdict.lines, verdict.anchored, verdict.last_hash) == (6, 4, WHOLE[-1].hash)


def test_an_empty_record_is_whole():
    verdict = verify([], [], [])
    assert (verdict.lines, verdict.anchored, verdict.last_hash, verdict.faults) == (0, 0, GENESIS, ())


def test_the_order_of_keys_in_what_a_line_says_does_not_matter():
    assert link_hash(GENESIS, 1, {"a": 1, "b": None}) == link_hash(GENESIS, 1, {"b": None, "a": 1})


@pytest.mark.parametrize("place", range(6))
def test_one_changed_letter_is_one_fault_at_its_line(place):
    changed = list(WHOLE)
    changed[place] = replace(WHOLE[place], content={**LINES[place], "actor": "x"})
    assert kinds(changed) == [("changed", place + 1)]


def test_a_line_taken_out_is_missing_and_one_put_in_is_told():
    assert kinds(WHOLE[:2] + WHOLE[3:]) == [("missing", 4)]
    extra = replace(WHOLE[2], content={"action": "nothing"})
    assert ("changed", 3) in kinds([*WHOLE[:2], extra, *WHOLE[2:]])


def test_two_lines_that_changed_places_are_told():
    swapped = list(WHOLE)
    swapped[1] = replace(WHOLE[1], content=WHOLE[2].content)
    swapped[2] = replace(WHOLE[2], content=WHOLE[1].content)
    assert kinds(swapped) == [("changed", 2), ("changed", 3)]


def test_a_tail_cut_off_behind_a_head_is_found_and_before_it_is_not():
    assert kinds(WHOLE[:4], [head(WHOLE, 5)]) == [("cut", 5)]
    assert kinds(WHOLE[:5], [head(WHOLE, 5)]) == []


def test_a_chain_that_was_sealed_anew_no_longer_fits_its_heads():
    forged = sealed_anew([*WHOLE[:2], replace(WHOLE[2], content={"action": "nothing"}), *WHOLE[3:]])
    assert kinds(forged) == []
    assert kinds(forged, [head(WHOLE, 2), head(WHOLE, 5)]) == [("other_head", 5)]


def test_a_head_of_another_key_is_forged_and_anchors_nothing():
    forged = head(WHOLE, 3, key=b"another")
    verdict = verify(WHOLE, [forged, head(WHOLE, 2)], [KEY])
    assert verdict.faults == (Fault(kind="forged_head", number=3),)
    assert verdict.anchored == 2


def test_two_heads_that_disagree_about_one_line_are_told():
    other = sealed_anew([replace(WHOLE[0], content={"action": "other"}), *WHOLE[1:]])
    assert kinds(WHOLE, [head(WHOLE, 3), head(other, 3)]) == [("other_head", 3)]


def test_heads_of_an_earlier_key_are_true_as_long_as_it_is_known():
    heads = [head(WHOLE, 2, key=b"earlier"), head(WHOLE, 4)]
    assert verify(WHOLE, heads, [KEY, b"earlier"]).faults == ()
    assert verify(WHOLE, heads, [KEY]).faults == (Fault(kind="forged_head", number=2),)


def test_every_kind_of_fault_is_explained():
    assert set(EXPLAINED) == {"changed", "missing", "cut", "other_head", "forged_head", "no_head"}
