from dataclasses import asdict

import pytest

from service.core.variant import Variant, all_variants


def test_each_variant_has_a_name_of_its_own():
    assert Variant().name == "en-flags"
    assert Variant(language="de", flags=False).name == "de"
    whole = Variant(flags=False, encoding="labelmap", sr_class="enhanced", sr_form="planar")
    assert whole.name == "en-labelmap-enhanced-planar"


@pytest.mark.parametrize(
    ("refused", "name"),
    [
        ((), "de-labelmap"),
        (("labelmap",), "de"),
        (("comprehensive3d",), "de-labelmap-comprehensive"),
        (("labelmap", "comprehensive3d"), "de-comprehensive"),
        (("comprehensive3d", "comprehensive"), "de-labelmap-enhanced"),
        # Refused at another time, and skipped: it is not between.
        (("comprehensive",), "de-labelmap"),
    ],
)
def test_a_peer_gets_the_plainer_form_of_what_it_refused(refused, name):
    assert Variant(language="de", flags=False, encoding="labelmap").without(refused).name == name


def test_nothing_is_plainer_than_binary_and_enhanced():
    plainest = Variant(sr_class="enhanced")
    assert plainest.without(["labelmap", "comprehensive3d", "comprehensive"]) == plainest
    assert plainest.fallbacks == plainest.refusable == ()
    assert Variant(encoding="labelmap", sr_class="comprehensive").refusable == ("labelmap", "comprehensive")


def test_a_refusal_of_what_is_not_offered_any_more_changes_nothing():
    refused = ("comprehensive3d", "comprehensive", "labelmap")
    assert Variant(encoding="labelmap").taken_from(refused) == (
        "labelmap",
        "comprehensive3d",
        "comprehensive",
    )
    assert Variant(sr_class="comprehensive").taken_from(refused) == ("comprehensive",)
    assert Variant(sr_class="enhanced").taken_from(refused) == ()


def test_what_several_peers_ask_for_is_made_once_with_its_fallbacks():
    plain, packed = Variant(flags=False), Variant(flags=False, encoding="labelmap")
    assert [each.name for each in all_variants((packed, plain, packed))] == [
        *("en-labelmap", "en-labelmap-comprehensive", "en-labelmap-enhanced"),
        *("en", "en-comprehensive", "en-enhanced"),
    ]
    assert all_variants((Variant(sr_class="enhanced"),)) == (Variant(sr_class="enhanced"),)
    assert all_variants(()) == (Variant(),)


def test_what_refusals_lead_to_is_among_what_was_made():
    for wanted in (Variant(encoding="labelmap", sr_form="planar"), Variant(sr_class="comprehensive")):
        for refused in (["labelmap"], ["comprehensive3d"], ["comprehensive3d", "comprehensive"]):
            assert wanted.without(refused) in (wanted, *wanted.fallbacks)


def test_language_and_flags_do_not_shape_the_segmentation():
    assert Variant(language="de", flags=False).shape == Variant().shape
    assert Variant(encoding="labelmap").shape != Variant().shape


def test_what_pages_and_report_hold_does_not_depend_on_what_refusals_change():
    wanted = Variant(language="de", flags=False, encoding="labelmap", sr_class="enhanced", sr_form="planar")
    assert wanted.page == Variant(language="de", flags=False)
    assert wanted.content == wanted.content.content == wanted.without(()).content
    assert wanted.content.encoding == "labelmap"


def test_a_variant_travels_as_plain_values():
    variant = Variant(language="de", sr_form="planar")
    assert Variant(**asdict(variant)) == variant
