from service.cli.workshops import recipe_from
from service.settings import load


def peer(name, **changes):
    return {"name": name, "ae_title": "A", "host": "h", "port": 1, "outputs": ["SR"], **changes}


def test_flags_reach_peers_only_when_each_of_them_wants_them():
    assert recipe_from(load(peer=(peer("a", flags=True),)), for_peers=True).flags
    assert not recipe_from(load(peer=(peer("a", flags=True), peer("b"))), for_peers=True).flags
    assert not recipe_from(load(peer=(peer("b"),)), for_peers=True).flags


def test_a_peer_that_gets_nothing_has_no_say():
    only_sends = peer("sender", outputs=[])
    assert recipe_from(load(peer=(peer("a", flags=True), only_sends)), for_peers=True).flags


def test_the_researcher_s_own_folder_has_the_flags():
    assert recipe_from(load(peer=(peer("b"),))).flags
