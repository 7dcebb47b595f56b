"""Check the licences of the packages that constraints.txt names, as their metadata state them.

Only what is installed is read, so the check needs no network. A wheel may bundle libraries under
licences that its metadata leave out; EXCEPTIONS names those known.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from importlib.metadata import Distribution
from pathlib import Path

ROOT = Path(__file__).parents[1]
ALLOWED = frozenset(
    """
    0BSD Apache-2.0 BSD-2-Clause BSD-3-Clause BSL-1.0 CC0-1.0 CNRI-Python ISC MIT MIT-0 MIT-CMU
    MPL-2.0 PSF-2.0 Zlib
    """.split()  # noqa: SIM905 - a list to read
)
"""SPDX names. MPL-2.0 asks for the sources of its own files alone."""
NAMES = {
    "2-clause bsd license": "BSD-2-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0 license": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
}
"""Names in classifiers and in the older field `License`, by their SPDX names."""
EXCEPTIONS = {
    r"nvidia-.*|cuda-toolkit": "NVIDIA's own terms; comes with torch's CUDA build alone",
    r"pi-heif": "LGPL-3.0 for libheif, a library that can be replaced; HEIC is off by default",
}


def main() -> int:
    """Print a line for each package whose licence is not allowed; return 1 if there is any."""
    wrong = []
    for name in re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE):
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:  # of another platform or extra
            continue
        if any(re.fullmatch(known, name) for known in EXCEPTIONS):
            continue
        licence = stated(found)
        if not is_allowed(licence):
            wrong.append(f"{name}: {licence or 'no licence in its metadata'}")
    sys.stdout.writelines(
        f"{line}; allow it in scripts/licences.py, or drop it\n" for line in wrong
    )
    return int(bool(wrong))


def stated(found: Distribution) -> str:
    """Return the licence as an SPDX expression: the field of today, classifiers, or the old field.

    Several classifiers count as one licence that asks for all of them.
    """
    expression = found.metadata.get("License-Expression")
    if expression:
        return expression
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in found.metadata.get_all("Classifier") or []
        if line.startswith("License :: OSI Approved :: ")
    ]
    old = (found.metadata.get("License") or "").strip().partition("\n")[0]
    return " AND ".join(NAMES.get(one.lower(), one) for one in classifiers or [old] if one)


def is_allowed(expression: str) -> bool:
    """Return whether one alternative of an expression asks for allowed licences alone.

    In an expression with brackets every licence has to be allowed.
    """
    flat = re.sub(r" WITH [\w.-]+", "", expression)
    if "(" in flat:
        flat = re.sub(r"[()]", " ", flat).replace(" OR ", " AND ")
    return any(
        all(term.strip() in ALLOWED for term in alternative.split(" AND "))
        for alternative in flat.split(" OR ")
    )


if __name__ == "__main__":
    sys.exit(main())
