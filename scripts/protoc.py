"""Generate the Python code of ``proto/``: ``python scripts/protoc.py [--check]``, with grpcio-tools 1.66 installed.

That version's code loads on protobuf 5, 6 and 7; later ones refuse the older of these. With ``--check`` nothing is
written, and the exit code is 1 if the code in the tree is not what the .proto files make.
"""

from __future__ import annotations

import sys
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"


def generate(target: Path) -> None:
    """Write all generated code below ``target``."""
    includes = [f"-I{PROTO}", f"-I{resources.files('grpc_tools') / '_proto'}"]
    sources = sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))
    services = [name for name in sources if "service " in (PROTO / name).read_text()]
    for outputs, names in ((["--python_out", "--pyi_out"], sources), (["--grpc_python_out"], services)):
        if protoc.main(["protoc", *includes, *(f"{output}={target}" for output in outputs), *names]):
            raise SystemExit("protoc failed")


def generated(root: Path) -> dict[str, str]:
    """Return the generated files below ``root``, by name."""
    found = (path for pattern in ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py") for path in root.rglob(pattern))
    return {str(path.relative_to(root)): path.read_text() for path in found}


def main() -> int:
    """Write the files, or check them."""
    if sys.argv[1:] != ["--check"]:
        generate(ROOT)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        made, present = (
            generated(Path(scratch)),
            {f"coordinator/{name}": text for name, text in generated(ROOT / "coordinator").items()},
        )
    stale = sorted(name for name in made.keys() | present.keys() if made.get(name) != present.get(name))
    for name in stale:
        print(f"{name} is not what the .proto files make; run `make proto`", file=sys.stderr)
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
