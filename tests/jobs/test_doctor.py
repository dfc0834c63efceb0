"""`plait doctor`, and what all commands have in common: quiet, log files, JSON, exit codes."""

from __future__ import annotations

import json

import pytest
from packaging.requirements import Requirement
from typer.testing import CliRunner

from plait.jobs.cli import app
from plait.jobs.doctor import doctor, faults, requirements, unwritable
from tests.archives import WarcBuilder, picture
from tests.jobs.corpora import article


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    made = WarcBuilder()
    made.response("http://a.test/", article(1, ["/1.jpg"]))
    made.response("http://a.test/1.jpg", picture(320, 240, 1), "image/jpeg")
    return made.save(tmp_path_factory.mktemp("doctor") / "a.warc.gz")


def test_every_check_says_what_it_is_for_and_what_to_do():
    checks = doctor()
    assert {"python", "packages", "view", "lid.176", "java", "gpu", "cache folder"} <= {check.name for check in checks}
    assert all(check.feature and check.found for check in checks)
    assert all(check.remedy for check in checks if check.state != "ok")
    assert not [check for check in checks if check.state == "broken"]


def test_absent_and_old_packages_are_named():
    assert faults([Requirement("no-such-package-of-plait>=1"), Requirement("pyarrow>=999")])[0].endswith(
        "not installed"
    )
    assert "is not >=999" in faults([Requirement("pyarrow>=999")])[0]
    assert faults(requirements("")) == []
    assert {requirement.name for requirement in requirements("view")} == {"nh3", "starlette", "tomli-w", "uvicorn"}


def test_folders_that_cannot_be_written_are_found_without_making_them(tmp_path):
    assert unwritable(tmp_path / "not" / "there") == ""
    assert not (tmp_path / "not").exists()
    (tmp_path / "file").write_text("")
    assert "is a file" in unwritable(tmp_path / "file" / "below")


def test_doctor_speaks_json():
    done = CliRunner().invoke(app, ["doctor", "--json"])
    assert done.exit_code == 0
    assert {"name", "state", "found", "feature", "remedy"} == json.loads(done.stdout)[0].keys()


def test_quiet_builds_say_nothing_and_log_everything(archive, tmp_path):
    log, out = tmp_path / "logs" / "build.log", str(tmp_path / "corpus")
    command = ["--quiet", "--log-file", str(log), "build", str(archive), "--out", out, "--recipe", "annotate"]
    done = CliRunner().invoke(app, [*command, "--workers", "1"])
    assert done.exit_code == 0, done.output
    assert done.stdout == ""
    text = log.read_text()
    assert "extract" in text
    assert "fingerprint" in text
    again = CliRunner().invoke(app, ["build", str(archive), "--out", out, "--recipe", "annotate", "--json"])
    facts = json.loads(again.stdout)
    assert facts["totals"]["documents"] == 1
    audited = CliRunner().invoke(app, ["audit", out, "--json"])
    assert audited.exit_code == 0
    assert json.loads(audited.stdout)["fingerprint"] == facts["fingerprint"]
    for line, key in (
        ([
            "refilter", out, "--recipe", "annotate", "--out", str(tmp_path / "again"), "--workers", "1"
        ], "fingerprint"),
        (["export", out, "--format", "text", "--out", str(tmp_path / "text")], "samples"),
        (["gc", out], "files"),
    ):  # fmt: skip
        done = CliRunner().invoke(app, [*line, "--json"])
        assert done.exit_code == 0, done.output
        assert key in json.loads(done.stdout)


def test_help_has_an_example_for_every_command_and_the_exit_codes():
    import typer

    program = typer.main.get_command(app)
    assert "Exit codes: 0 done" in (program.epilog or "")
    for name, command in program.commands.items():
        children = getattr(command, "commands", None)
        for child in (children or {name: command}).values():
            assert "plait " in (child.help or ""), name


@pytest.mark.parametrize("log", ["/dev/null/x.log"])
def test_log_file_that_cannot_be_written_is_the_users_to_put_right(log):
    done = CliRunner().invoke(app, ["--log-file", log, "doctor"])
    assert done.exit_code == 2
