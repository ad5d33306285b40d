"""promtool's verdict on ``deploy/prometheus``, and the runbook: what it must say of every alert."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from demo.observability import prometheus
from tests.deploy.prometheus_running import DEPLOYED, PrometheusFailed, find_promtool, with_window

RUNBOOK = DEPLOYED.parents[1] / "docs/runbook.md"
ALERTS = (DEPLOYED / "rules/alerts.yml").read_text(encoding="utf-8")
RECORDING = (DEPLOYED / "rules/recording.yml").read_text(encoding="utf-8")
#: What each section of the runbook answers.
QUESTIONS = ("**Means:**", "**Look:**", "**Do:**")


def promtool(*arguments: str | Path) -> str:
    done = subprocess.run([find_promtool(), *arguments], capture_output=True, text=True, timeout=60, cwd=DEPLOYED)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def names(pattern: str, text: str) -> list[str]:
    return re.findall(pattern, text, re.MULTILINE)


def sections() -> dict[str, str]:
    parts = re.split(r"^## (\w+)$", RUNBOOK.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def alerts() -> list[str]:
    return names(r"^ +- alert: (\w+)$", ALERTS)


def test_promtool_finds_nothing_wrong_with_configuration_and_rules() -> None:
    reported = promtool("check", "config", "prometheus.yml")
    assert "2 rule files found" in reported
    promtool("check", "rules", *sorted((DEPLOYED / "rules").glob("*.yml")))


def test_rules_and_alerts_do_what_their_tests_say() -> None:
    promtool("test", "rules", *sorted((DEPLOYED / "tests").glob("*.yml")))


def test_every_rule_and_every_alert_has_such_a_test() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in (DEPLOYED / "tests").glob("*.yml"))
    recorded = names(r"^ +- record: (\S+)$", RECORDING)
    assert recorded
    assert [name for name in recorded if not re.search(rf"expr: .*\b{name}\b", tests)] == []
    fired = set(names(r"alertname: (\w+)\n +eval_time: \w+\n +exp_alerts:\n", tests))
    silent = set(names(r"alertname: (\w+)\n +eval_time: \w+\n +exp_alerts: \[\]\n", tests))
    assert fired & silent == set(alerts())


def test_every_alert_has_its_section_in_the_runbook_and_every_section_its_alert() -> None:
    assert sorted(sections()) == sorted(alerts())


@pytest.mark.parametrize("alert", alerts())
def test_the_section_says_what_it_means_how_to_look_and_what_to_do(alert: str) -> None:
    section = sections()[alert]
    assert [question for question in QUESTIONS if section.count(question) != 1] == []


def test_every_alert_leads_to_its_section() -> None:
    expected = [f"docs/runbook.md#{alert.lower()}" for alert in alerts()]
    assert names(r"^ +runbook_url: (\S+)$", ALERTS) == expected
    assert len(names(r"^ +summary: ", ALERTS)) == len(names(r"^ +description: ", ALERTS)) == len(expected)


def test_no_rule_makes_up_a_value_for_what_is_missing() -> None:
    assert "vector(" not in ALERTS + RECORDING


def test_the_windows_of_rules_are_shortened_wherever_they_stand() -> None:
    assert with_window("rate(a[5m]) - b offset 1h", "15s") == "rate(a[15s]) - b offset 15s"
    shortened = with_window(ALERTS + RECORDING, "15s")
    assert set(names(r"\[(\w+)\]", shortened)) == {"15s"}


def test_where_prometheus_cannot_be_had_its_users_fail_and_say_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(DEPLOYED.parents[1] / "scripts", tmp_path / "scripts")
    monkeypatch.setattr(prometheus, "_SCRIPT", tmp_path / "scripts/fetch_prometheus.py")
    monkeypatch.delenv(prometheus.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    look = prometheus.find_prometheus.__wrapped__
    with pytest.raises(PrometheusFailed, match="apt-get is not on PATH: Prometheus is fetched from Debian"):
        look()
    monkeypatch.setenv(prometheus.VARIABLE, str(tmp_path / "none"))
    with pytest.raises(PrometheusFailed, match="which is no program"):
        look()
