"""Checks what is deployed: manifests by Kubernetes' schemas, and the systemd unit by systemd, where it is installed.

Prints what it has checked, and what it could not; exits with 1 if something is wrong. Kinds that Kubernetes itself does
not have (Prometheus Operator's ServiceMonitor, kustomize's Kustomization) have no schema there, and are counted.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import kubernetes_validate
import yaml

ROOT = Path(__file__).resolve().parents[1]
MANIFESTS, UNIT = ROOT / "deploy" / "kubernetes", ROOT / "deploy" / "systemd" / "coordinator.service"
#: The oldest and the newest Kubernetes whose schemas are asked; 1.29 is the first whose NetworkPolicy, PDB and spread
#: constraints are all stable.
VERSIONS = ("1.29", "1.37")
#: What `systemd-analyze security` may say, in tenths of its ten points: higher is more exposed.
MOST_EXPOSED = 15
_FOREIGN = ("monitoring.coreos.com/", "kustomize.config.k8s.io/")


def main() -> int:
    """Check all, and print what is wrong; returns the exit code."""
    wrong = [*check_manifests(), *check_kustomizations(), *check_unit()]
    for each in wrong:
        print(f"error: {each}", file=sys.stderr)
    return 1 if wrong else 0


def check_manifests() -> list[str]:
    """Hold each document against its schema, unknown fields included; return what is wrong."""
    wrong, checked, foreign = [], 0, 0
    for path in sorted(MANIFESTS.rglob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if document["apiVersion"].startswith(_FOREIGN):
                foreign += 1
                continue
            for version in VERSIONS:
                try:
                    kubernetes_validate.validate(document, version, strict=True)
                except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
                    wrong.append(
                        f"{path.relative_to(ROOT)}: {document['kind']} by Kubernetes {version}: {error.message}"
                    )
            checked += 1
    print(
        f"{checked} manifests checked by the schemas of Kubernetes {' and '.join(VERSIONS)}, {foreign} of other kinds"
    )
    return wrong


def check_kustomizations() -> list[str]:
    """Have kubectl put each folder together; return what is wrong."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        print("kubectl is not installed: kustomizations are not built")
        return []
    wrong = []
    folders = sorted(path.parent for path in MANIFESTS.rglob("kustomization.yaml"))
    for folder in folders:
        done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            wrong.append(f"{folder.relative_to(ROOT)}: {done.stderr.strip()}")
    print(f"{len(folders)} kustomizations built by kubectl")
    return wrong


def check_unit() -> list[str]:
    """Have systemd check the unit and how exposed it is; return what is wrong."""
    program = shutil.which("systemd-analyze")
    if program is None:
        print("systemd is not installed: the unit is not checked")
        return []
    with tempfile.TemporaryDirectory() as scratch:
        unit = Path(scratch) / UNIT.name
        # The program of the unit is not installed here.
        unit.write_text(UNIT.read_text(encoding="utf-8").replace("/opt/coordination/bin/coordination", sys.executable))
        words = ("verify", f"security --offline=true --threshold={MOST_EXPOSED}")
        runs = [[program, *each.split(), str(unit)] for each in words]
        done = [subprocess.run(run, capture_output=True, text=True, check=False) for run in runs]
    wrong = [f"{UNIT.relative_to(ROOT)}: {each.stderr or each.stdout}" for each in done if each.returncode != 0]
    print(done[-1].stdout.strip().rpartition("\n")[2])
    return wrong


if __name__ == "__main__":
    sys.exit(main())
