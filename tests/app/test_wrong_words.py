"""What a command says to wrong words: which word, and what would be right. No traces, no secrets."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from postillon.cli import commands


def said(*words: str) -> Result:
    ended = CliRunner().invoke(commands.postillon, list(words))
    assert isinstance(ended.exception, SystemExit), ended.exception
    return ended


def test_without_any_server_the_ways_to_name_one_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(commands, "DEFAULT_CONFIG", str(tmp_path / "postillon.toml"))
    ended = said("account", "list")
    assert ended.exit_code == 1
    assert "no server is named" in ended.output and "--data DIR" in ended.output and "postillon setup" in ended.output


def test_data_that_is_a_file_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("")
    ended = said("dev", "--data", str(tmp_path / "file"))
    assert ended.exit_code == 1 and "is a file; name a directory" in ended.output


def test_a_wrong_account_is_named_without_its_password():
    ended = said("dev", "--account", "alice:secret-1")
    assert ended.exit_code == 1
    assert "'alice': an account is given as ADDRESS:PASSWORD" in ended.output and "secret-1" not in ended.output


def test_mistakes_in_settings_are_told_by_the_lines_of_their_file(tmp_path: Path):
    file = tmp_path / "settings.toml"
    file.write_text("[filters]\nnix = 3\n")
    assert f"--settings {file}: line 2: unknown setting `filters.nix`" in said("dev", "--settings", str(file)).output
    file.write_text("[filters]\njunk = \n")
    assert f"--settings {file}: line 2: not TOML" in said("dev", "--settings", str(file)).output


@pytest.mark.parametrize("option", ["--settings", "--accounts-file", "--trust"])
def test_a_file_that_is_not_there_is_told_with_its_option(option: str):
    assert f"{option} /nowhere: No such file or directory\n" in said("dev", option, "/nowhere").output


@pytest.mark.parametrize("words", [("add", "frank@example.test", "--quota", "five"), ("quota", "frank@example.test", "five")])
def test_a_wrong_size_is_repeated(words: tuple[str, ...]):
    ended = said("account", *words)
    assert ended.exit_code == 2 and "'five': a size is a number of octets or text like" in ended.output


def test_what_others_wrote_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]):
    commands.table([{"sender": "a\x1b[2Jb", "to": ["c\x07", "d"]}], ("sender", "to"))
    assert capsys.readouterr().out.splitlines()[1] == "a\\x1b[2Jb  c\\x07, d"
