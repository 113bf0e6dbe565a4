from dataclasses import asdict

from service.core.variant import Variant, all_variants


def test_each_variant_has_a_name_of_its_own():
    assert Variant().name == "en-flags"
    assert Variant(language="de", flags=False).name == "de"
    whole = Variant(flags=False, encoding="labelmap", sr_class="enhanced", sr_form="planar")
    assert whole.name == "en-labelmap-enhanced-planar"


def test_a_label_map_falls_back_to_the_same_in_binary():
    wanted = Variant(language="de", flags=False, encoding="labelmap")
    assert wanted.fallback == Variant(language="de", flags=False)
    assert Variant().fallback is None


def test_what_several_peers_ask_for_is_made_once_with_its_fallback():
    plain, packed = Variant(flags=False), Variant(flags=False, encoding="labelmap")
    assert all_variants((packed, plain, packed)) == (packed, plain)
    assert all_variants(()) == (Variant(),)


def test_language_and_flags_do_not_shape_the_segmentation():
    assert Variant(language="de", flags=False).shape == Variant().shape
    assert Variant(encoding="labelmap").shape != Variant().shape


def test_a_variant_travels_as_plain_values():
    variant = Variant(language="de", sr_form="planar")
    assert Variant(**asdict(variant)) == variant
