from service.cli.workshops import recipe_from
from service.core.variant import Variant
from service.pipeline.recipe import WorkshopRecipe
from service.settings import load


def peer(name, **changes):
    return {"name": name, "ae_title": "A", "host": "h", "port": 1, "outputs": ["SR"], **changes}


def recipe(*peers):
    return recipe_from(load(peer=peers), for_peers=True)


def test_each_peer_s_wish_is_made_once():
    wanted = recipe(peer("a", flags=True), peer("b"), peer("c"), peer("d", language="de"))
    assert [variant.name for variant in wanted.variants if variant.sr_class == "comprehensive3d"] == [
        "en-flags",
        "en",
        "de",
    ]
    assert len(wanted.variants) == 9


def test_a_label_map_is_made_with_what_it_falls_back_to():
    wanted = recipe(peer("a", profile="labelmap", sr_class="enhanced", sr_form="planar"))
    assert [variant.name for variant in wanted.variants] == [
        "en-labelmap-enhanced-planar",
        "en-enhanced-planar",
    ]


def test_outlines_are_made_only_where_somebody_gets_them():
    assert not recipe(peer("a")).gsps
    assert recipe(peer("a"), peer("b", outputs=["GSPS"])).gsps


def test_a_peer_that_gets_nothing_has_no_say():
    only_sends = peer("sender", outputs=[], language="de")
    assert recipe(peer("a", flags=True, sr_class="enhanced"), only_sends).variants == (
        Variant(sr_class="enhanced"),
    )
    assert recipe(only_sends).variants == (Variant(),)


def test_the_researcher_s_own_folder_has_the_flags():
    assert recipe_from(load(peer=(peer("b"),))).variants == (Variant(),)


def test_a_recipe_travels_as_plain_values():
    wanted = recipe(peer("a", profile="labelmap"), peer("b", outputs=["GSPS"]))
    assert WorkshopRecipe.from_dict(wanted.as_dict()) == wanted
