"""What the command line says of itself before any command is loaded."""

import pytest
import typer.main

from service import cli


def names(app):
    return set(typer.main.get_command(app).commands)


def test_every_command_stands_in_the_overview_and_nothing_else():
    assert names(cli.build_app()) == names(cli.build_overview()) == set(cli.COMMANDS)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_a_command_is_in_the_module_that_the_overview_names(name):
    assert name in names(cli.build_app(name))


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["--help"], 0, "Look after the database."),
        ([], 1, "Look after the database."),
        (["nonsense"], 1, "No such command 'nonsense'"),
        (["--nonsense"], 1, "No such option"),
        (["check", "--nonsense"], 3, "No such option"),
    ],
)
def test_wrong_words_are_told(monkeypatch, capsys, arguments, status, told):
    monkeypatch.setattr("sys.argv", ["myoscreen", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == status
    said = capsys.readouterr()
    assert told in said.out + said.err


def test_no_line_of_the_overview_is_cut_off(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["myoscreen", "--help"])
    with pytest.raises(SystemExit):
        cli.main()
    assert "..." not in capsys.readouterr().out.partition("Commands:")[2]
