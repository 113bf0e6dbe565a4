"""Two findings, number by number."""

from service.core.sameness import Comparison, compare_findings, same_yardsticks

ONE = {"measures": {"a": 1.0, "b": [2.0, 3.0], "none": None}, "status": "measured", "empty": []}


def test_equal_findings_are_the_same_and_their_numbers_are_counted() -> None:
    found = compare_findings(ONE, ONE, ("measures", "status", "empty"))
    assert found == Comparison(numbers=3)
    assert found.same


def test_the_last_bit_of_a_number_counts_and_the_largest_difference_is_named() -> None:
    other = {"measures": {"a": 1.0 + 2**-52, "b": [2.0, 3.5], "none": None}, "status": "measured"}
    found = compare_findings(ONE, other, ("measures", "status"))
    assert (found.differing, found.largest_at, found.largest) == (2, "measures.b[1]", 0.5)
    assert not found.same


def test_a_number_that_only_one_has_and_another_text_differ() -> None:
    found = compare_findings(ONE, {"measures": None, "status": "failed"}, ("measures", "status"))
    assert (found.differing, found.largest, found.others) == (
        3,
        None,
        ("measures.none", "status", "measures"),
    )
    assert not found.same


def test_a_truth_is_no_number() -> None:
    found = compare_findings({"quality": [{"passed": True}]}, {"quality": [{"passed": False}]}, ("quality",))
    assert (found.numbers, found.others) == (0, ("quality[0].passed",))


def test_the_yardsticks_are_the_tables_by_their_hashes_and_the_policy() -> None:
    def finding(sha: str, policy: str = "p@1") -> dict[str, object]:
        scores = [{"norm": "n@1", "norm_facts": {"sha256": sha}}, {"norm": None, "norm_facts": None}]
        return {"norms": ["n@1"], "policy": policy, "scores": scores}

    assert same_yardsticks(finding("a"), finding("a"))
    assert not same_yardsticks(finding("a"), finding("b"))
    assert not same_yardsticks(finding("a"), finding("a", "p@2"))
    assert same_yardsticks({}, {})
