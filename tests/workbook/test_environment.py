"""The set-up of the virtual environment: what can go wrong says what to do, and what is unchanged is left alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from workbook import ROOT, environment
from workbook.environment import SetupError


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "requirements.txt").write_text("# numbers\ntorch==2.0.0\nnumpy==2.0.0\n")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    return tmp_path


class Commands(list[list[str]]):
    """The commands that would have run; ``fails`` holds words of those that fail, ``torch`` the installed version."""

    fails: tuple[str, ...] = ()
    torch = ""


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    commands = Commands()

    def run(command: list[str], **options: object) -> SimpleNamespace:
        if options.get("capture_output"):
            return SimpleNamespace(stdout=commands.torch, returncode=0)
        commands.append(command)
        return SimpleNamespace(returncode=int(any(word in " ".join(command) for word in commands.fails)))

    monkeypatch.setattr(environment.subprocess, "run", run)
    monkeypatch.setattr(environment.platform, "system", lambda: "Linux")
    return commands


def test_an_old_python_is_told_which_and_how_to_name_another() -> None:
    with pytest.raises(SetupError, match=r"3\.11 or newer.*python3 is 3\.9.*PYTHON="):
        environment.check_python((3, 9, 18), "/usr/bin/python3")
    environment.check_python((3, 11, 0))
    environment.check_python((3, 14, 2))


def test_too_little_disk_says_how_much_is_needed(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"needs about 1000000000 GB.*GB free"):
        environment.check_disk(tmp_path, 1e18)


def test_a_failing_install_is_one_sentence_about_the_network(project: Path, commands: Commands) -> None:
    commands.fails = ("requirements.txt",)
    with pytest.raises(SetupError, match="connect to the network"):
        environment.install(project, project / ".venv", "default")


def test_a_python_without_venv_leaves_no_half_environment(project: Path, commands: Commands) -> None:
    commands.fails = ("-m venv",)
    (project / ".venv").mkdir()
    with pytest.raises(SetupError, match="python3-venv"):
        environment.install(project, project / ".venv", "cpu")
    assert not (project / ".venv").exists()


def test_the_cpu_build_is_asked_of_pytorch_and_done_without_where_it_is_not_reached(project: Path, commands: Commands) -> None:
    commands.fails = (environment.CPU_INDEX,)
    environment.install(project, project / ".venv", "cpu")
    asked = [command for command in commands if environment.CPU_INDEX in command]
    assert [command[-1] for command in asked] == ["torch==2.0.0"]
    assert "-r" in commands[-2]


def test_the_default_build_asks_no_other_index(project: Path, commands: Commands) -> None:
    environment.install(project, project / ".venv", "default")
    assert not [command for command in commands if environment.CPU_INDEX in command]


@pytest.mark.parametrize(
    ("have", "want", "removed"),
    [("2.0.0+cpu", "cpu", False), ("2.0.0+cpu", "default", True), ("2.0.0", "cpu", True), ("2.0.0", "default", False)],
)
def test_another_build_replaces_the_installed_one(project: Path, commands: Commands, have: str, want: str, removed: bool) -> None:
    commands.torch = have
    environment.install(project, project / ".venv", want)
    assert any("uninstall" in command for command in commands) == removed


def test_nothing_runs_again_until_something_changes(project: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "ROOT", project)
    venv = project / ".venv"
    venv.mkdir()
    arguments = ["--venv", str(venv), "--torch", "cpu"]

    def runs(*extra: str) -> int:
        commands.clear()
        assert environment.main([*arguments, *extra]) == 0
        return len(commands)

    assert runs() > 0
    assert runs() == 0
    (project / "requirements.txt").write_text("torch==2.0.1\n")
    assert runs() > 0
    assert runs() == 0
    assert runs("--torch", "default") > 0


def test_an_install_that_failed_is_tried_again(
    project: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(environment, "ROOT", project)
    (project / ".venv").mkdir()
    commands.fails = ("requirements.txt",)
    assert environment.main(["--venv", str(project / ".venv")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    commands.fails = ()
    commands.clear()
    assert environment.main(["--venv", str(project / ".venv")]) == 0
    assert commands


def test_it_runs_before_anything_is_installed() -> None:
    """With the standard library alone: no site-packages, no project on the path."""
    done = subprocess.run([sys.executable, "-I", "-S", str(ROOT / "src/workbook/environment.py"), "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_without_a_python_names_the_variable(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    done = subprocess.run(["make", "book", "PYTHON="], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "PYTHON=/path/to/python3.11" in done.stderr
