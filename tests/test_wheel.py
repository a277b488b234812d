from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_wheel_carries_every_file_of_the_package(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
    ]
    subprocess.run([*command, str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("phashopt-*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    kept = (".py", ".j2", ".css", ".js", ".typed")
    ours = {str(path.relative_to(ROOT)) for path in (ROOT / "phashopt").rglob("*") if path.suffix in kept}
    assert "phashopt/report/page.html.j2" in ours
    assert ours <= packed
