"""Documents of one issuer: cards, forms, receipts, letters and certificates."""

# ruff: noqa: PLR2004 - sizes of what is drawn stand where it is drawn

from __future__ import annotations

import math

from PIL import Image, ImageDraw

from evaluation import synthetic_photos
from evaluation.synthetic_templates.drawing import (
    INK,
    date,
    drawn,
    name,
    number,
    paper,
    paragraph,
    portrait,
    ramp,
    say,
    sentence,
    sheet,
)


def card(seed: int) -> Image.Image:
    """Draw an identity card: one layout, another person."""
    draw = drawn("card", seed)
    made, pen = sheet((640, 400), "#dfe9ee")
    for wave in range(24):
        line = [(x, wave * 18 + 14 * math.sin(x / 40 + wave / 3)) for x in range(0, 641, 8)]
        pen.line(line, fill="#b9d2dc", width=2)
    pen.rectangle((0, 0, 640, 56), fill="#2f5d7c")
    say(pen, (20, 14), "REPUBLIC OF MADE UP   IDENTITY CARD", 24, "white")
    made.paste(portrait(draw, 150, 190), (24, 90))
    for row, label in enumerate(("Surname", "Given names", "Date of birth", "Number", "Expires")):
        say(pen, (205, 84 + 54 * row), label, 14, "#5a6c76")
        said = (name(draw, 3), name(draw, 4), date(draw), number(draw, 9), date(draw))[row]
        say(pen, (205, 102 + 54 * row), said, 24)
    say(pen, (20, 368), f"P<MUP{name(draw, 6).upper()}<<{number(draw, 12)}<<<<<<<", 20)
    return made


def form(seed: int) -> Image.Image:
    """Draw a form of twelve boxes, filled in differently each time."""
    draw = drawn("form", seed)
    made, pen = sheet((600, 780))
    say(pen, (30, 24), "Application for a parking permit", 26)
    say(pen, (30, 62), "Please fill in all fields in capital letters.", 14, "#5b5b5b")
    for row, label in enumerate(_LABELS.split()):
        top = 100 + 54 * row
        say(pen, (30, top), f"{row + 1}. {label}", 14)
        pen.rectangle((200, top - 6, 570, top + 30), outline=INK, width=2)
        say(pen, (210, top - 2), name(draw, draw.randint(2, 5)).upper(), 22, "#1f3a93")
    return made


_LABELS = "Surname Name Street City Country Plate Maker Colour From Until Phone Signature"


def receipt(seed: int) -> Image.Image:
    """Draw a till receipt: one shop, other goods."""
    draw = drawn("receipt", seed)
    made, pen = sheet((360, 720), "#fbfaf5")
    say(pen, (90, 20), "CORNER SHOP", 26)
    say(pen, (86, 54), "12 Mill Lane  Tel 555 0100", 14)
    total = 0
    for row in range(draw.randint(9, 16)):
        price = draw.randint(49, 2999)
        total += price
        say(pen, (24, 96 + 30 * row), name(draw, 3), 18)
        say(pen, (270, 96 + 30 * row), f"{price / 100:8.2f}", 18)
    say(pen, (24, 610), f"TOTAL   {total / 100:.2f}", 28)
    say(pen, (24, 656), f"{date(draw)}  no {number(draw, 6)}", 16)
    return made


def passport(seed: int) -> Image.Image:
    """Draw the page of a passport: a portrait, fields, and two lines for machines."""
    draw = drawn("passport", seed)
    made = ramp((740, 520), "#f3e3dc", "#dfe9ef")
    pen = ImageDraw.Draw(made)
    for ring in range(14):
        r = 30 + 22 * ring
        pen.ellipse((430 - r, 210 - r, 430 + r, 210 + r), outline="#dccfd6", width=2)
    say(pen, (30, 18), "MADE UP UNION", 20, "#7a2436")
    say(pen, (560, 18), "PASSPORT", 24, "#7a2436")
    made.paste(portrait(draw, 190, 250), (36, 90))
    labels = "Type,Surname,Given names,Nationality,Date of birth,Place of birth,Date of expiry"
    said = ["P", name(draw, 3), name(draw, 4), "MADE UP", date(draw), name(draw, 3), date(draw)]
    for row, (label, value) in enumerate(zip(labels.split(","), said, strict=True)):
        say(pen, (260, 76 + 46 * row), label, 13, "#6b6f78")
        say(pen, (260, 92 + 46 * row), value.upper(), 22)
    say(pen, (540, 92), number(draw, 9), 26, "#7a2436")
    first = f"P<MUP{said[1]}<<{said[2]}<<<<<<<<<<<<<<<<<<<<".upper()
    say(pen, (30, 440), first[:38], 26)
    say(pen, (30, 476), f"{number(draw, 9)}<4MUP{number(draw, 7)}M{number(draw, 7)}<<<<<<04", 26)
    return made


def invoice(seed: int) -> Image.Image:
    """Draw an invoice of one firm: another customer, other items and sums."""
    draw = drawn("invoice", seed)
    made, pen = sheet((700, 990))
    pen.rectangle((0, 0, 700, 12), fill="#1d6f6a")
    pen.polygon([(40, 90), (80, 40), (120, 90)], fill="#1d6f6a")
    say(pen, (135, 48), "Hillside Supplies Ltd", 28, "#1d6f6a")
    say(pen, (135, 82), "4 Quarry Road, Northtown", 14, "#6a6f75")
    say(pen, (480, 140), f"Invoice {number(draw, 6)}", 22)
    say(pen, (480, 170), f"Date {date(draw)}", 16)
    for row in range(3):
        say(pen, (40, 140 + 24 * row), f"{name(draw, 3)} {name(draw, 2)}", 18)
    pen.rectangle((40, 260, 660, 292), fill="#e3efee")
    for x, label in ((50, "Item"), (380, "Qty"), (460, "Price"), (570, "Amount")):
        say(pen, (x, 266), label, 17)
    total = 0
    for row in range(draw.randint(6, 13)):
        y, count, price = 304 + 36 * row, draw.randint(1, 20), draw.randint(99, 9999)
        total += count * price
        say(pen, (50, y), f"{name(draw, 3)} {name(draw, 2).lower()}", 17)
        for x, value in ((380, str(count)), (460, f"{price / 100:.2f}")):
            say(pen, (x, y), value, 17)
        say(pen, (570, y), f"{count * price / 100:,.2f}", 17)
        pen.line((40, y + 28, 660, y + 28), fill="#dddddd")
    sums = {"Net": total, "VAT 20 %": total // 5, "Total": total * 6 // 5}
    for row, (label, cents) in enumerate(sums.items()):
        say(pen, (430, 800 + 32 * row), label, 20)
        say(pen, (660, 800 + 32 * row), f"{cents / 100:,.2f}", 20, anchor="ra")
    say(
        pen,
        (40, 940),
        "Payable within 30 days to account 1234 5678 9012. Thank you.",
        15,
        "#6a6f75",
    )
    return made


def letter(seed: int) -> Image.Image:
    """Draw one letter in which a single paragraph is another."""
    fixed, draw = drawn("letter", -1), drawn("letter", seed)
    made, pen = sheet((700, 990), "#fdfdfb")
    say(pen, (70, 60), "Northtown Water Works", 26, "#24507a")
    pen.line((70, 98, 630, 98), fill="#24507a", width=2)
    say(pen, (70, 130), "Dear customer,", 19)
    for part in range(5):
        top = 170 + 140 * part
        paragraph(pen, draw if part == 2 else fixed, (70, top, 630, top + 120), 18)
    say(pen, (70, 885), "Yours sincerely", 19)
    say(pen, (70, 915), "The service team", 19)
    return made


def boarding_pass(seed: int) -> Image.Image:
    """Draw a boarding pass: another passenger, flight, seat and code."""
    draw = drawn("boarding", seed)
    made, pen = sheet((880, 340))
    pen.rectangle((0, 0, 880, 60), fill="#b3202a")
    say(pen, (24, 14), "SKYWAY   BOARDING PASS", 28, "white")
    say(pen, (660, 18), "SKYWAY", 22, "white")
    for y in range(64, 340, 14):
        pen.line((636, y, 636, y + 7), fill="#9a9a9a", width=2)
    who = f"{name(draw, 3)} / {name(draw, 2)}".upper()
    cities = [name(draw, 2)[:3].upper() for _ in range(2)]
    fields = (
        ("PASSENGER", who),
        ("FROM", cities[0]),
        ("TO", cities[1]),
        ("FLIGHT", f"SK{number(draw, 3)}"),
        ("GATE", f"{draw.choice('ABCD')}{draw.randint(1, 60)}"),
        ("DATE", date(draw)[:5]),
        ("SEAT", f"{draw.randint(1, 38)}{draw.choice('ABCDEF')}"),
        ("BOARDING", f"{draw.randint(0, 23):02}:{draw.randint(0, 59):02}"),
    )
    for place, (label, value) in enumerate(fields):
        x, y = 24 + 150 * (place % 4), 84 + 110 * (place // 4)
        say(pen, (x, y), label, 13, "#777777")
        say(pen, (x, y + 18), value[:9], 28)
        if place in (0, 3, 6):
            say(pen, (660, 84 + 22 * place), label, 12, "#777777")
            say(pen, (660, 98 + 22 * place), value[:10], 22)
    x = 24
    while x < 590:
        wide = draw.choice([2, 3, 5, 7])
        pen.rectangle((x, 288, x + wide, 328), fill="black")
        x += wide + draw.choice([2, 3, 5])
    return made


def business_card(seed: int) -> Image.Image:
    """Draw the business card of one firm: another employee."""
    draw = drawn("business", seed)
    made, pen = sheet((700, 400), "#fafafa")
    pen.polygon([(0, 0), (230, 0), (150, 400), (0, 400)], fill="#1c3a5e")
    pen.ellipse((50, 130, 130, 210), outline="#e8b23a", width=10)
    pen.line((60, 200, 120, 140), fill="#e8b23a", width=10)
    say(pen, (40, 230), "ORBIT", 30, "white")
    who = [name(draw, 2), name(draw, 3)]
    say(pen, (270, 90), " ".join(who), 34)
    say(
        pen,
        (270, 134),
        draw.choice(["Engineer", "Sales", "Design lead", "Accounts", "Director"]),
        20,
        "#68707a",
    )
    lines = (
        f"+44 {number(draw, 4)} {number(draw, 6)}",
        f"{who[0]}.{who[1]}@orbit.example".lower(),
        "www.orbit.example",
        "9 Harbour Lane, Westport",
    )
    for row, line in enumerate(lines):
        say(pen, (270, 200 + 36 * row), line, 20, "#33383f")
    return made


def certificate(seed: int) -> Image.Image:
    """Draw a certificate in an ornate frame: another name, course and date."""
    draw = drawn("certificate", seed)
    made, pen = sheet((860, 610), "#fbf6e8")
    for inset, wide in ((16, 8), (32, 2), (44, 2)):
        pen.rectangle((inset, inset, 860 - inset, 610 - inset), outline="#8a6a1f", width=wide)
    for x in range(60, 820, 24):
        for y in (38, 572):
            pen.ellipse((x - 5, y - 5, x + 5, y + 5), fill="#b58e35")
    say(pen, (430, 110), "CERTIFICATE", 58, "#5b4412", anchor="mm")
    say(pen, (430, 175), "of completion is awarded to", 22, anchor="mm")
    say(pen, (430, 255), f"{name(draw, 3)} {name(draw, 3)}", 48, "#1f3a6b", anchor="mm")
    pen.line((210, 290, 650, 290), fill="#8a6a1f", width=2)
    say(pen, (430, 330), f"for the course {name(draw, 2)} {name(draw, 3).lower()}", 24, anchor="mm")
    say(pen, (150, 480), date(draw), 22)
    pen.line((120, 512, 330, 512), fill=INK)
    pen.line((540, 512, 750, 512), fill=INK)
    pen.ellipse((380, 430, 480, 530), fill="#b3272d")
    pen.ellipse((392, 442, 468, 518), outline="#f2d7a0", width=3)
    return made


def newspaper(seed: int) -> Image.Image:
    """Draw the front page of one paper: another day's photo, headlines and columns."""
    draw = drawn("newspaper", seed)
    made, pen = sheet((720, 960), "#f1eee4")
    say(pen, (360, 50), "The Northtown Courier", 56, anchor="mm")
    pen.line((30, 92, 690, 92), fill=INK, width=3)
    say(pen, (40, 98), date(draw), 15)
    say(pen, (560, 98), f"No. {number(draw, 5)}", 15)
    pen.line((30, 120, 690, 120), fill=INK, width=1)
    say(pen, (36, 130), sentence(draw, 5)[:-1], 36)
    made.paste(
        synthetic_photos.photo(draw.getrandbits(32), 430, 290).convert("L").convert("RGB"),
        (36, 186),
    )
    paragraph(pen, draw, (486, 186, 690, 480), 14)
    say(pen, (36, 496), sentence(draw, 7)[:-1], 22)
    for column in range(3):
        left = 36 + 222 * column
        paragraph(pen, draw, (left, 534, left + 204, 930), 14)
        pen.line((left + 212, 534, left + 212, 930), fill="#b5b2a8")
    return paper(made, draw)
