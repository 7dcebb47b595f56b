"""Windows and screens of one program or site: the same frame, other content."""

# ruff: noqa: PLR2004 - sizes of what is drawn stand where it is drawn

from __future__ import annotations

from PIL import Image, ImageDraw

from evaluation import synthetic_photos
from evaluation.synthetic_templates.drawing import (
    PALETTE,
    date,
    drawn,
    goods,
    money,
    name,
    number,
    paragraph,
    portrait,
    ramp,
    say,
    sentence,
    sheet,
)


def chat(seed: int) -> Image.Image:
    """Draw a chat window on a telephone: the same frame, another conversation."""
    draw = drawn("chat", seed)
    made, pen = sheet((400, 760), "#ece5dd")
    pen.rectangle((0, 0, 400, 64), fill="#075e54")
    pen.ellipse((14, 10, 58, 54), fill="#c7d2d0")
    say(pen, (72, 18), name(draw, 3), 22, "white")
    top, last = 84, 640
    while top < last:
        mine = draw.random() < 0.5
        lines = [name(draw, draw.randint(4, 7)) for _ in range(draw.randint(1, 3))]
        left, height = (110 if mine else 14), 16 + 24 * len(lines)
        fill = "#dcf8c6" if mine else "white"
        pen.rounded_rectangle((left, top, left + 276, top + height), 10, fill=fill)
        for row, line in enumerate(lines):
            say(pen, (left + 12, top + 7 + 24 * row), line, 17)
        top += height + 14
    pen.rounded_rectangle((10, 704, 390, 750), 22, fill="white")
    say(pen, (30, 714), "Type a message", 18, "#9a9a9a")
    return made


def settings(seed: int) -> Image.Image:
    """Draw a settings screen; from one seed to the next a single one of twelve switches moves."""
    fixed = drawn("settings", -1)
    places = fixed.sample(range(12), 12)
    on = seed ^ (seed >> 1)  # the Gray code: neighbours differ in one bit, no two are equal
    dark = seed >> 12 & 1
    ground, card, ink = (
        ("#101114", "#1d1f24", "#ececec") if dark else ("#f2f2f7", "white", "#1b1c1e")
    )
    made, pen = sheet((430, 900), ground)
    say(pen, (24, 10), "9:41", 17, ink)
    say(pen, (24, 56), "Settings", 36, ink)
    labels = (
        "Airplane mode,Wi-Fi,Bluetooth,Mobile data,Hotspot,Notifications,Sounds,Do not disturb,"
        "Location,Dark mode,Battery saver,Auto-update"
    )
    for row, label in enumerate(labels.split(",")):
        y = 124 + 62 * row
        pen.rounded_rectangle((16, y, 414, y + 54), 12, fill=card)
        pen.rounded_rectangle((28, y + 12, 58, y + 42), 7, fill=PALETTE[row])
        say(pen, (74, y + 15), label, 20, ink)
        state = on >> places.index(row) & 1
        pen.rounded_rectangle(
            (344, y + 11, 400, y + 43), 16, fill="#34c759" if state else "#d3d3d8"
        )
        x = 386 if state else 358
        pen.ellipse((x - 13, y + 14, x + 13, y + 40), fill="white")
    return made


def score_board(seed: int) -> Image.Image:
    """Draw one score board of an arena: other scores and another clock."""
    draw = drawn("score", seed)
    made = ramp((900, 420), "#1a2238", "#0c101c")
    pen = ImageDraw.Draw(made)
    pen.rounded_rectangle((40, 40, 860, 380), 24, outline="#51618f", width=6)
    for x, side in ((90, "HOME"), (620, "GUEST")):
        say(pen, (x + 75, 100), side, 40, "#e9edf7", anchor="mm")
        pen.rectangle((x, 140, x + 150, 270), fill="black", outline="#51618f", width=3)
        say(pen, (x + 75, 205), number(draw, 2), 100, "#ff3b30", anchor="mm")
    pen.rectangle((330, 140, 570, 230), fill="black", outline="#51618f", width=3)
    say(
        pen,
        (450, 185),
        f"{draw.randint(0, 19):02}:{draw.randint(0, 59):02}",
        70,
        "#ffcc00",
        anchor="mm",
    )
    say(pen, (450, 290), f"PERIOD {draw.randint(1, 4)}", 30, "#e9edf7", anchor="mm")
    for x in (165, 695):
        say(pen, (x, 330), f"FOULS {draw.randint(0, 9)}", 26, "#9fb0dd", anchor="mm")
    return made


def code(seed: int) -> Image.Image:
    """Draw an editor with one project open: another file in it."""
    draw = drawn("code", seed)
    made, pen = sheet((900, 600), "#1e1f26")
    pen.rectangle((0, 0, 900, 34), fill="#2b2d37")
    pen.rectangle((0, 34, 180, 600), fill="#25262e")
    fixed = drawn("code", -1)
    for row in range(16):
        say(
            pen,
            (20 + 14 * (row % 3 > 0), 48 + 26 * row),
            f"{name(fixed, 3).lower()}.py",
            15,
            "#a9adba",
        )
    say(pen, (200, 8), f"{name(draw, 3).lower()}.py", 16, "#e4e6ed")
    colours = ("#c678dd", "#61afef", "#98c379", "#d19a66", "#abb2bf")
    for row in range(26):
        y = 46 + 21 * row
        say(pen, (190, y), str(row + 1), 14, "#5c6170")
        x = 226 + 28 * draw.choice([0, 1, 1, 2])
        for _ in range(draw.randint(0, 6)):
            word = draw.choice(
                [
                    "def",
                    "return",
                    "for",
                    "if",
                    "self",
                    "=",
                    "(",
                    "in",
                    "None",
                    name(draw, 2).lower(),
                    number(draw, 2),
                ]
            )
            say(pen, (x, y), word, 15, draw.choice(colours))
            x += 14 + 9 * len(word)
    return made


def calendar(seed: int) -> Image.Image:
    """Draw a month of a calendar: other appointments."""
    draw = drawn("calendar", seed)
    made, pen = sheet((840, 640))
    say(pen, (24, 16), "October", 32)
    for column, label in enumerate(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]):
        say(pen, (30 + 116 * column, 66), label, 16, "#777777")
    for place in range(35):
        x, y = 18 + 116 * (place % 7), 92 + 108 * (place // 7)
        pen.rectangle((x, y, x + 116, y + 108), outline="#dadada")
        say(pen, (x + 8, y + 6), str(place % 31 + 1), 16, "#555555")
        for row in range(draw.choice([0, 0, 1, 1, 2])):
            top = y + 32 + 34 * row
            pen.rounded_rectangle((x + 6, top, x + 110, top + 28), 5, fill=draw.choice(PALETTE[:6]))
            say(pen, (x + 12, top + 6), f"{draw.randint(8, 19)}:00 {name(draw, 2)}", 13, "white")
    return made


def slide(seed: int) -> Image.Image:
    """Draw one deck's slide: another title and list."""
    draw = drawn("slide", seed)
    made, pen = sheet((960, 540))
    pen.rectangle((0, 0, 960, 16), fill="#c8102e")
    pen.polygon([(960, 540), (960, 400), (780, 540)], fill="#c8102e")
    say(pen, (60, 50), sentence(draw, 4)[:-1], 42, "#2a2a2a")
    pen.line((60, 112, 900, 112), fill="#c8102e", width=3)
    for row in range(draw.randint(3, 5)):
        y = 150 + 66 * row
        pen.ellipse((70, y + 10, 82, y + 22), fill="#c8102e")
        say(pen, (104, y), sentence(draw, draw.randint(4, 7)), 27)
    say(pen, (60, 500), f"Orbit Ltd   {draw.randint(1, 60)}", 16, "#888888")
    return made


def post(seed: int) -> Image.Image:
    """Draw a post on a social site: another author, photo and text."""
    draw = drawn("post", seed)
    made, pen = sheet((600, 900))
    pen.rectangle((0, 0, 600, 64), fill="#2c6fd1")
    say(pen, (24, 16), "friendspace", 28, "white")
    made.paste(portrait(draw, 56, 56), (24, 84))
    say(pen, (96, 88), f"{name(draw, 2)} {name(draw, 3)}", 22)
    say(pen, (96, 116), f"{draw.randint(2, 59)} minutes ago", 15, "#888888")
    paragraph(pen, draw, (24, 160, 576, 232), 20)
    made.paste(synthetic_photos.photo(draw.getrandbits(32), 552, 414), (24, 250))
    say(
        pen,
        (24, 690),
        f"{draw.randint(3, 900)} likes   {draw.randint(0, 90)} comments",
        18,
        "#666666",
    )
    pen.line((24, 728, 576, 728), fill="#dddddd")
    for x, label in ((60, "Like"), (250, "Comment"), (460, "Share")):
        say(pen, (x, 744), label, 20, "#555555")
    pen.rounded_rectangle((24, 800, 576, 850), 25, fill="#f0f2f5")
    say(pen, (48, 814), "Write a comment", 18, "#999999")
    return made


def video_player(seed: int) -> Image.Image:
    """Draw a video player around another still."""
    draw = drawn("video", seed)
    made, pen = sheet((860, 640), "#0f0f0f")
    made.paste(synthetic_photos.photo(draw.getrandbits(32), 820, 461), (20, 20))
    pen.rectangle((20, 440, 840, 481), fill="#1c1c1c")
    done = draw.uniform(0.05, 0.9)
    pen.rectangle((40, 448, 820, 452), fill="#5a5a5a")
    pen.rectangle((40, 448, 40 + 780 * done, 452), fill="#ff0033")
    pen.polygon([(44, 458), (44, 476), (60, 467)], fill="white")
    say(pen, (80, 458), f"{draw.randint(0, 9)}:{draw.randint(10, 59)} / 12:34", 16, "white")
    say(pen, (20, 500), sentence(draw, 7)[:-1], 26, "white")
    say(pen, (20, 544), f"{draw.randint(2, 999)}K views", 18, "#aaaaaa")
    pen.rounded_rectangle((690, 536, 840, 580), 22, fill="white")
    say(pen, (765, 558), "Subscribe", 20, "#0f0f0f", anchor="mm")
    return made


def product_card(seed: int) -> Image.Image:
    """Draw a shop's card: another product, name and price."""
    draw = drawn("product", seed)
    made, pen = sheet((480, 640), "#f5f5f5")
    pen.rounded_rectangle((16, 16, 464, 624), 18, fill="white", outline="#e2e2e2", width=2)
    thing = goods(draw, draw.choice(PALETTE), 340)
    made.paste(thing, (70, 50), thing)
    say(pen, (40, 420), f"{name(draw, 3)} {name(draw, 2).lower()}", 26)
    say(pen, (40, 460), f"{'*' * draw.randint(2, 5)}  ({draw.randint(2, 999)})", 20, "#e0a100")
    say(pen, (40, 496), f"EUR {money(draw, 19_999)}", 34, "#b3202a")
    pen.rounded_rectangle((40, 556, 440, 604), 24, fill="#f7b733")
    say(pen, (240, 580), "Add to basket", 22, anchor="mm")
    return made


def sale_banner(seed: int) -> Image.Image:
    """Draw a shop's banner: another discount, product and date."""
    draw = drawn("sale", seed)
    made = ramp((900, 420), "#ff5f6d", "#ffc371")
    pen = ImageDraw.Draw(made)
    for ray in range(0, 900, 60):
        pen.polygon([(200, 210), (ray, 0), (ray + 24, 0)], fill="#ff7d7a")
    say(pen, (60, 60), "SUMMER SALE", 56, "white")
    say(pen, (60, 140), f"-{draw.randint(1, 16) * 5}%", 130, "white")
    say(pen, (60, 310), f"on all {name(draw, 3).lower()}s until {date(draw)[:5]}", 30, "white")
    thing = goods(draw, draw.choice(PALETTE), 340)
    made.paste(thing, (540, 40), thing)
    return made
