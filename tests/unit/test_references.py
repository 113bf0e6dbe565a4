import pytest

from service.core.norms import z_score
from service.errors import ConfigurationError, NormMismatch
from service.pipeline.references import bundled_models_dir, list_norms, read_norm, read_norms, read_policy
from service.settings import load

MODELS = bundled_models_dir()


def test_the_bundled_tables_and_policy_are_sound():
    tables = {table.id: table for table in list_norms(MODELS)}
    assert set(load().norms) <= set(tables)
    assert tables["provisional-fsf"].status == "provisional"
    assert read_policy(MODELS, "default").quadrant_measures == ("imat_fraction", "lmm_height_index_ml_m2")


def test_the_provisional_table_gives_the_published_percentiles():
    # Median of a woman of 50: 18.7 %, 95th percentile 32.2 % (arithmetic of the table's header).
    (table,) = read_norms(MODELS, ("provisional-fsf",))
    assert z_score(0.187, table.at("F", 50)) == pytest.approx(0.0)
    assert z_score(0.322, table.at("F", 50)) == pytest.approx(1.645, abs=0.01)


def test_invented_numbers_score_nobody():
    assert all(table.phantom_only for table in list_norms(MODELS) if table.status == "demonstration")


def test_a_missing_or_broken_table_is_named(tmp_path):
    with pytest.raises(NormMismatch) as error:
        read_norm(tmp_path / "none.toml")
    assert error.value.reason.code == "norm_missing"
    (tmp_path / "bad.toml").write_text("id = 'bad'", "utf-8")
    with pytest.raises(NormMismatch) as error:
        read_norm(tmp_path / "bad.toml")
    assert error.value.reason.code == "bad_norm"


def test_a_policy_must_exist_and_be_whole(tmp_path):
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "bad.toml").write_text(
        'id="x"\nversion="1"\nquadrant_measures=["a","b"]\n[[flag]]\ncode="c"\nmeasure="m"\ndirection="sideways"',
        "utf-8",
    )
    with pytest.raises(ConfigurationError, match="direction"):
        read_policy(tmp_path, "bad")
    with pytest.raises(ConfigurationError, match="no policy"):
        read_policy(tmp_path, "none")


@pytest.mark.parametrize("name", ["../norms", ".hidden", "a/b"])
def test_a_name_from_a_setting_cannot_leave_its_folder(name):
    with pytest.raises(ConfigurationError, match="plain name"):
        read_norms(MODELS, (name,))
