"""HTML page with pictures side by side and reasons, in one file without dependencies."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from importlib import metadata
from pathlib import Path
from string import Template

import httpx
import numpy as np
from msgspec import Struct

from demo.asking import Found, Told
from demo.photos import PHOTOS
from demo.sent import Answer, Sent

_TEMPLATE = Path(__file__).with_name("page.html")
_NEARLY_ALL = 0.985
"""Share from which a picture shows all of the other one: no outline is drawn then."""
_CORNERS = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


class Story(Struct, frozen=True, kw_only=True):
    """Content of the page."""

    originals: Mapping[str, Sent]
    copies: Sequence[Sent]
    stats: Answer
    found: Sequence[Found]
    told: Told


def write(path: Path, http: httpx.Client, story: Story) -> None:
    """Fetch the previews from the service and write the page."""
    originals, copies, told = story.originals, story.copies, story.told
    pictures = {name: _preview(http, sent) for name, sent in originals.items()}
    shown = {sent.image_id: pictures[name] for name, sent in originals.items()}
    any_verdict = next(iter(originals.values())).verdict
    total = story.stats["total"]["images"]
    text = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        model="and no model took part" if any_verdict["missing"] else "whatever a model says",
        figures=_figures(
            (str(total), "pictures stored"),
            (str(len(originals)), "originals"),
            (str(len(copies)), "copies recognised"),
            (f"{1000 * _median([c.seconds for c in copies]):.0f} ms", "to a verdict, median"),
        ),
        copies="\n".join(_card(http, copy, pictures[copy.of], originals) for copy in copies),
        photos="\n".join(_tile(photo.title, pictures[photo.name]) for photo in PHOTOS),
        found="\n".join(_asked(one, shown) for one in story.found),
        question=escape(told.question),
        told=_told(told, shown),
        terms="; ".join(escape(f"{photo.title} ({photo.terms})") for photo in PHOTOS),
        version=metadata.version("seenit"),
        policy=escape(any_verdict["policy_version"]),
        pipeline=escape(any_verdict["pipeline_version"]),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _preview(http: httpx.Client, sent: Sent) -> str:
    """Return a preview from the service as a data URI."""
    if sent.data is not None:
        return _uri(sent.data, "image/jpeg")
    answer = http.get(f"/v1/images/{sent.image_id}/content", params={"size": "preview"})
    kind = answer.raise_for_status().headers["Content-Type"]
    return _uri(answer.content, kind)


def _uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _card(http: httpx.Client, copy: Sent, original: str, originals: Mapping[str, Sent]) -> str:
    evidence = copy.evidence or {}
    transform = evidence.get("transform")
    boxes = evidence.get("changed_regions", ())
    over_original = over_copy = ""
    if transform:
        if transform["seen"] < _NEARLY_ALL:
            over_original = _outline(transform["matrix"])
        if transform["filled"] < _NEARLY_ALL:
            over_copy = _outline(_inverse(transform["matrix"]))
    marks = over_original + "".join(_rectangle(box) for box in boxes)
    kind = copy.verdict["kind"].replace("_", " ")
    title = originals[copy.of].title
    asked = '<span class="badge plain">only asked, not kept</span>' if copy.data else ""
    return f"""<article class="card{" wrong" if copy.faults else ""}">
<div class="top"><h3>{escape(copy.title)}</h3><div class="badges">{asked}
<span class="badge">{escape(kind)}</span>
<span class="badge {escape(copy.decision)}">{escape(copy.decision)}</span></div></div>
<div class="pair">
{_figure(original, f"Original: {title}", title, marks)}
{_figure(_preview(http, copy), f"Copy: {title}, {copy.title.lower()}", "what was sent", over_copy)}
</div>
<p class="why">{escape(evidence.get("words") or "")}</p>
{_numbers(evidence, copy.seconds)}
{"".join(f'<p class="why">Not as it must be: {escape(fault)}</p>' for fault in copy.faults)}
</article>"""


def _asked(one: Found, shown: Mapping[str | None, str]) -> str:
    """Render a query and the pictures it found, best first."""
    if one.absent:
        body = f'<p class="why">{escape(one.absent)}</p>'
    else:
        tiles = (
            _figure(
                shown[hit["image_id"]],
                hit["title"],
                " · ".join(filter(None, (hit["title"], hit["similarity"]))),
                "",
            )
            for hit in one.hits
        )
        body = f'<div class="trio">{"".join(tiles)}</div>'
    return f"""<article class="card{" wrong" if one.faults else ""}">
<div class="top"><h3>“{escape(one.text)}”</h3><div class="badges">
<span class="badge plain">by {escape(one.why)}</span>
<span class="badge">{escape(one.mode)}</span></div></div>
{body}
{"".join(f'<p class="why">Not as it must be: {escape(fault)}</p>' for fault in one.faults)}
</article>"""


def _told(told: Told, shown: Mapping[str | None, str]) -> str:
    """Render the prompt: each picture with its label, and the text that belongs to it."""
    tiles = (
        _figure(shown[one["image_id"]], one["title"], f"{one['label']} {one['title']}", "")
        for one in told.citations
    )
    reason = f'<p class="why">{escape(told.reason)}</p>' if told.reason else ""
    texts = escape("\n\n".join(told.texts))
    return f"""<article class="card"><div class="trio">{"".join(tiles)}</div>{reason}
<p class="soft">{told.blocks} blocks in the shape of {escape(told.format)}, about {told.tokens}
tokens. The texts between the pictures:</p><pre>{texts}</pre></article>"""


def _tile(title: str, picture: str) -> str:
    return _figure(picture, title, title, "")


def _figure(picture: str, alt: str, caption: str, marks: str) -> str:
    drawing = (
        f'<svg viewBox="0 0 1 1" preserveAspectRatio="none" aria-hidden="true">{marks}</svg>'
        if marks
        else ""
    )
    return f"""<figure><div class="frame"><span class="laid"><img src="{picture}" \
alt="{escape(alt)}">{drawing}</span></div><figcaption>{escape(caption)}</figcaption></figure>"""


def _numbers(evidence: Answer, seconds: float) -> str:
    """Render the evidence in numbers, as far as there is any."""
    transform = evidence.get("transform") or {}
    changed = evidence.get("changed_share") or None
    shares = {
        "blocks that agree": None if changed else evidence.get("overlap"),
        "of the original shown": transform.get("seen"),
        "of it changed": changed,
    }
    counts = {
        "matching points": evidence.get("inliers"),
        "hash bits apart": evidence.get("hamming"),
    }
    told = {name: f"{100 * value:.0f} %" for name, value in shares.items() if value is not None}
    told |= {name: str(value) for name, value in counts.items() if value is not None}
    told["took"] = f"{1000 * seconds:.0f} ms"
    rows = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in told.items())
    return f"<dl>{rows}</dl>"


def _figures(*pairs: tuple[str, str]) -> str:
    return "".join(f"<li><b>{number}</b><span>{words}</span></li>" for number, words in pairs)


def _outline(matrix: Sequence[float]) -> str:
    """Draw the corners of one picture in the other; both measured in shares of their sides."""
    a, b, c, d, e, f = matrix
    corners = ((a * x + b * y + c, d * x + e * y + f) for x, y in _CORNERS)
    points = " ".join(f"{x:.4f},{y:.4f}" for x, y in corners)
    return f'<polygon class="under" points="{points}"/><polygon points="{points}"/>'


def _inverse(matrix: Sequence[float]) -> tuple[float, ...]:
    whole = np.vstack([np.reshape(matrix, (2, 3)), (0.0, 0.0, 1.0)])
    return tuple(float(value) for value in np.linalg.inv(whole)[:2].ravel())


def _rectangle(box: Mapping[str, float]) -> str:
    sides = " ".join(f'{name}="{box[name]:.4f}"' for name in ("x", "y", "width", "height"))
    return f'<rect class="under" {sides}/><rect {sides}/>'


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))
