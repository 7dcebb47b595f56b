"""The families by name, with the kinds of verdict that their pairs may get."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from PIL import Image

from core.types import Kind
from evaluation.synthetic_templates import charts, codes, documents, maps, plain, scenes, screens

Draw = Callable[[int], Image.Image]
_OTHER: tuple[Kind, ...] = ("variant", "similar", "new")
_NEW: tuple[Kind, ...] = ("similar", "new")
_COPY: tuple[Kind, ...] = ("near_duplicate",)


class Family(Struct, frozen=True):
    """Pictures of one layout, a different one from each seed."""

    name: str
    kinds: tuple[Kind, ...]
    """Verdicts that are right for two of them."""
    draw: Draw
    """Draw the instance of a seed, 400 to 990 pixels on the longer side."""

    @property
    def copies(self) -> bool:
        """Return whether they all show one photo, so that they are copies of one another."""
        return "near_duplicate" in self.kinds


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("identity cards", _OTHER, documents.card),
        Family("passports", _OTHER, documents.passport),
        Family("forms", _OTHER, documents.form),
        Family("receipts", _OTHER, documents.receipt),
        Family("invoices", _OTHER, documents.invoice),
        Family("letters", _OTHER, documents.letter),
        Family("boarding passes", _OTHER, documents.boarding_pass),
        Family("business cards", _OTHER, documents.business_card),
        Family("certificates", _OTHER, documents.certificate),
        Family("newspapers", _OTHER, documents.newspaper),
        Family("charts", _OTHER, charts.chart),
        Family("line charts", _OTHER, charts.line_chart),
        Family("pie charts", _OTHER, charts.pie_chart),
        Family("spreadsheets", _OTHER, charts.spreadsheet),
        Family("tables, one row", _OTHER, charts.table),
        Family("chat windows", _OTHER, screens.chat),
        Family("settings, one switch", _OTHER, screens.settings),
        Family("score boards", _OTHER, screens.score_board),
        Family("code", _OTHER, screens.code),
        Family("calendars", _OTHER, screens.calendar),
        Family("slides", _OTHER, screens.slide),
        Family("social posts", _OTHER, screens.post),
        Family("video players", _OTHER, screens.video_player),
        Family("product cards", _OTHER, screens.product_card),
        Family("sale banners", _OTHER, screens.sale_banner),
        Family("weather maps", _OTHER, maps.weather_map),
        Family("maps, one pin", _OTHER, maps.map_with_pin),
        Family("chess diagrams", _OTHER, codes.chess),
        Family("same studio", _OTHER, scenes.same_studio),
        Family("product colours", _OTHER, scenes.other_colour),
        Family("logo colours", _OTHER, scenes.logo),
        Family("video calls", _OTHER, scenes.video_call),
        Family("fixed camera", _OTHER, scenes.fixed_camera),
        Family("QR codes", _NEW, codes.qr_code),
        Family("bar codes", _NEW, codes.bar_code),
        Family("sudoku", _NEW, codes.sudoku),
        Family("sheet music", _NEW, codes.sheet_music),
        Family("pages of text", _NEW, codes.text_page),
        Family("icons", _NEW, plain.icon),
        Family("flat", _NEW, plain.flat),
        Family("gradients", _NEW, plain.gradient),
        Family("stripes", _NEW, plain.stripes),
        Family("checks", _NEW, plain.checks),
        Family("dots", _NEW, plain.dots),
        Family("captions", _COPY, scenes.captions),
        Family("padded memes", _COPY, scenes.padded_meme),
        Family("frames", _COPY, scenes.framed),
    )
}
"""Every family by name: 33 whose pairs are variants, 11 that share nothing, 3 of one photo."""

TEMPLATES: dict[str, Draw] = {
    name: FAMILIES[name].draw
    for name in ("identity cards", "forms", "receipts", "charts", "chat windows", "captions")
}
"""Families that are drawn by default: each takes a seed and draws 360 to 780 pixels a side."""
