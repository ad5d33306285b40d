"""What is known to be wrong with versions of etcd."""

from __future__ import annotations

import pytest

from coordinator.store.diagnosis.versions import known_faults, notice_for, oldest


class TestVersions:
    @pytest.mark.parametrize(
        ("version", "words"),
        [
            ("3.3.27", ["end of life", "single member", "too early", "CVE-2026-33343", "lease"]),
            ("3.4.20", ["end of life", "single member", "too early", "CVE-2026-33343", "lease"]),
            ("3.4.26", ["end of life", "too early", "CVE-2026-33343", "lease"]),
            ("3.4.27", ["end of life", "too early", "CVE-2026-33343"]),
            ("3.4.31", ["end of life", "CVE-2026-33343"]),
            ("3.4.42", ["end of life"]),
            ("3.5.0-rc.1", ["lose data", "single member", "panics", "too early", "CVE-2026-33343", "lease"]),
            ("3.5.2", ["lose data", "single member", "panics", "too early", "CVE-2026-33343", "lease"]),
            ("3.5.3", ["single member", "panics", "too early", "CVE-2026-33343", "lease"]),
            ("3.5.5", ["too early", "CVE-2026-33343", "lease"]),
            ("3.5.10", ["too early", "CVE-2026-33343"]),
            ("3.5.13", ["CVE-2026-33343"]),
            ("3.5.27", ["CVE-2026-33343"]),
            ("3.5.28", []),
            ("3.6.0", ["CVE-2026-33343"]),
            ("v3.6.8", ["CVE-2026-33343"]),
            ("3.6.9", []),
            ("3.7.0", []),
            ("unknown", []),
        ],
    )
    def test_faults(self, version: str, words: list[str]) -> None:
        faults = known_faults(version)
        assert len(faults) == len(words)
        assert all(word in fault for word, fault in zip(words, faults, strict=True))

    def test_notice(self) -> None:
        assert notice_for("3.5.33") is None
        assert notice_for("3.4.42") == (
            "etcd 3.4.42 is past its end of life and gets no fixes; run 3.5.33 or newer, or 3.6.14 or newer"
        )
        assert notice_for("3.5.1") == (
            "etcd 3.5.1 can lose data in a crash under load and has 5 more known faults (see `coordination doctor`); "
            "run 3.5.33 or newer, or 3.6.14 or newer"
        )
        assert "has 1 more known fault (" in (notice_for("3.4.31") or "")

    def test_the_oldest_is_found_by_numbers_and_not_by_letters(self) -> None:
        assert oldest(("3.5.16", "3.5.9", "3.6.1")) == "3.5.9"
        assert oldest(("3.5.16", "unknown")) == "unknown"
        assert oldest(()) is None
