"""What is activated, by name and hash; and files behind it, as they lie in the models folder."""

import hashlib
import shutil
import subprocess

import pytest

from service.core.activation import Held, Kind, Piece, Thing, hash_of, is_plain, names_of, tidy
from service.errors import ConfigurationError, ModelMismatch, NormMismatch, NotAsActivated
from service.pipeline import equipment
from service.pipeline.references import bundled_models_dir
from tests.make.activating import models_folder


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return models_folder(tmp_path_factory.mktemp("models") / "m")


@pytest.fixture
def models(template, tmp_path):
    subprocess.run(["cp", "-r", template, tmp_path / "m"], check=True)
    return tmp_path / "m"


def test_one_file_is_named_by_its_own_hash_and_several_by_what_sha256sum_prints(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    printed = subprocess.run(["sha256sum", "a", "b"], cwd=tmp_path, capture_output=True, check=True).stdout
    pieces = tuple(Piece(path=name, sha256=hashlib.sha256(name.encode()).hexdigest()) for name in ("a", "b"))
    assert hash_of(pieces) == hashlib.sha256(printed).hexdigest()
    assert hash_of(pieces[:1]) == pieces[0].sha256
    assert Thing(kind=Kind.NORMS, name="", version="", pieces=()).sha256 == hashlib.sha256(b"").hexdigest()


def test_names_are_kept_without_what_surrounds_them():
    assert tidy(Kind.NORMS, " a , b,,c ") == "a,b,c"
    assert tidy(Kind.POLICY, " strict ") == "strict"
    assert names_of("a,b") == ("a", "b")


@pytest.mark.parametrize(
    ("kind", "name", "plain"),
    [
        (Kind.NETWORK, "paraspinal", True),
        (Kind.NETWORK, "../paraspinal", False),
        (Kind.NETWORK, "..", False),
        (Kind.NETWORK, "", False),
        (Kind.RULES, "/etc/rules.toml", False),
        (Kind.RULES, "rules.toml", False),
        (Kind.RULES, "one-per-study", True),
        (Kind.POLICY, "a,b", False),
        (Kind.POLICY, "a\0", False),
        (Kind.POLICY, "a" * 513, False),
        (Kind.NORMS, "a,b.2", True),
        (Kind.NORMS, "a,../b", False),
        (Kind.NORMS, "", True),
    ],
)
def test_a_name_leads_nowhere_but_into_the_models_folder(kind, name, plain):
    assert is_plain(kind, name) is plain


def test_what_is_in_force_reads_like_settings():
    names = {Kind.NETWORK: "n", Kind.NORMS: "a,b", Kind.POLICY: "p", Kind.RULES: "r"}
    held = Held(names=names, hashes={}, pieces={})
    assert held.as_settings() == {"model": "n", "norms": ("a", "b"), "policy": "p", "rules": "r"}


def test_a_network_is_its_card_and_its_weights(models):
    thing = equipment.describe(Kind.NETWORK, "next", models)
    assert [piece.path for piece in thing.pieces] == ["next/card.toml", "next/model.onnx"]
    with (models / "next" / "card.toml").open("a") as card:
        card.write("\n# another card\n")
    assert equipment.describe(Kind.NETWORK, "next", models).sha256 != thing.sha256


def test_tables_are_one_thing_in_their_order(models):
    one = equipment.describe(Kind.NORMS, "provisional-fsf,demonstration-imat", models)
    other = equipment.describe(Kind.NORMS, "demonstration-imat,provisional-fsf", models)
    assert {piece.path for piece in one.pieces} == {piece.path for piece in other.pieces}
    assert one.sha256 != other.sha256
    assert len(one.version.split(",")) == 2


def test_rules_of_the_program_and_of_a_file_of_ones_own_are_told_apart(models, tmp_path):
    (models / "rules" / "one-per-study.toml").unlink()
    bundled = equipment.describe(Kind.RULES, "one-per-study", models)
    equipment.require_unchanged(Kind.RULES, bundled.pieces, models)
    own = tmp_path / "own.toml"
    own.write_bytes((bundled_models_dir() / "rules" / "one-per-study.toml").read_bytes())
    elsewhere = equipment.describe(Kind.RULES, str(own), models)
    assert [piece.path for piece in elsewhere.pieces] == [str(own)]
    assert elsewhere.sha256 == bundled.sha256
    own.write_bytes(own.read_bytes() + b"\n")
    with pytest.raises(NotAsActivated, match=r"Rules: own\.toml is") as told:
        equipment.require_unchanged(Kind.RULES, elsewhere.pieces, models)
    assert str(tmp_path) not in told.value.reason.text


@pytest.mark.parametrize(
    ("kind", "name", "error"),
    [
        (Kind.NETWORK, "none", ModelMismatch),
        (Kind.NORMS, "provisional-fsf,none", NormMismatch),
        (Kind.POLICY, "none", ConfigurationError),
        (Kind.RULES, "none", ConfigurationError),
    ],
)
def test_what_is_not_there_is_told_by_its_reason(models, kind, name, error):
    with pytest.raises(error):
        equipment.describe(kind, name, models)


def test_a_file_that_cannot_be_read_is_told_by_its_reason(models, tmp_path):
    """A folder that is being copied has its card and not yet its weights."""
    (tmp_path / "half").mkdir()
    shutil.copyfile(models / "next" / "card.toml", tmp_path / "half" / "card.toml")
    with pytest.raises(ModelMismatch) as told:
        equipment.describe(Kind.NETWORK, "half", tmp_path)
    assert (told.value.reason.code, "model.onnx" in told.value.reason.text) == ("model_missing", True)
    (tmp_path / "policies" / "folder.toml").mkdir(parents=True)
    (tmp_path / "norms").mkdir()
    for kind, name in ((Kind.POLICY, "folder"), (Kind.NORMS, "n" * 300)):
        with pytest.raises(ConfigurationError) as unread:
            equipment.describe(kind, name, tmp_path)
        assert (unread.value.reason.code, str(tmp_path) in unread.value.reason.text) == (
            "unknown_thing",
            False,
        )


def test_a_changed_and_a_missing_file_have_their_own_reasons(models):
    thing = equipment.describe(Kind.POLICY, "strict", models)
    path = models / "policies" / "strict.toml"
    before = path.read_bytes()
    path.write_bytes(before.replace(b"2.0", b"3.0"))
    with pytest.raises(NotAsActivated, match=r"policies/strict\.toml") as changed:
        equipment.require_unchanged(Kind.POLICY, thing.pieces, models)
    assert changed.value.reason.code == "activated_file_changed"
    path.unlink()
    with pytest.raises(NotAsActivated) as missing:
        equipment.require_unchanged(Kind.POLICY, thing.pieces, models)
    assert missing.value.reason.code == "activated_file_missing"
    path.write_bytes(before)
    equipment.require_unchanged(Kind.POLICY, thing.pieces, models)


def test_the_folder_is_offered_by_what_lies_in_it(models):
    offered = equipment.choices(models)
    assert offered[Kind.NETWORK] == ("next", "paraspinal")
    assert offered[Kind.POLICY] == ("default", "strict")
    assert "one-per-study" in offered[Kind.RULES]
    assert "provisional-fsf" in offered[Kind.NORMS]
