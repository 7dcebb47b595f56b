"""Signs on a grid: QR and bar codes, chess, sudoku, sheet music, pages of text."""

# ruff: noqa: PLR2004 - sizes of what is drawn stand where it is drawn

from __future__ import annotations

from random import Random

from PIL import Image, ImageDraw

from evaluation.synthetic_templates.drawing import drawn, number, paragraph, say, sheet


def qr_code(seed: int) -> Image.Image:
    """Draw a code of 33 x 33 random modules with finders, timing and alignment pattern."""
    draw = drawn("qr", seed)
    side, cell = 33, 14
    made, pen = sheet(((side + 8) * cell, (side + 8) * cell))

    def fill(x: int, y: int, width: int, colour: str = "black") -> None:
        left, top = (x + 4) * cell, (y + 4) * cell
        pen.rectangle((left, top, left + width * cell - 1, top + width * cell - 1), fill=colour)

    for x in range(side):
        for y in range(side):
            if draw.random() < 0.5:
                fill(x, y, 1)
    for place in range(8, side - 8):
        for x, y in ((place, 6), (6, place)):
            fill(x, y, 1, "black" if place % 2 == 0 else "white")
    for x, y in ((0, 0), (side - 7, 0), (0, side - 7)):
        fill(max(0, x - 1), max(0, y - 1), 8, "white")
        fill(x, y, 7)
        fill(x + 1, y + 1, 5, "white")
        fill(x + 2, y + 2, 3)
    fill(side - 9, side - 9, 5)
    fill(side - 8, side - 8, 3, "white")
    fill(side - 7, side - 7, 1)
    return made


_LEFT = "0001101 0011001 0010011 0111101 0100011 0110001 0101111 0111011 0110111 0001011"


def bar_code(seed: int) -> Image.Image:
    """Draw a bar code of twelve digits, as UPC-A encodes them."""
    digits = number(drawn("bars", seed), 12)
    codes = _LEFT.split()
    left = "".join(codes[int(digit)] for digit in digits[:6])
    right = "".join(codes[int(digit)] for digit in digits[6:]).translate(str.maketrans("01", "10"))
    bits = f"101{left}01010{right}101"
    made, pen = sheet((600, 360))
    for place, bit in enumerate(bits):
        if bit == "1":
            guard = place < 3 or 45 <= place < 50 or place > 91
            pen.rectangle((60 + 5 * place, 30, 64 + 5 * place, 310 if guard else 285), fill="black")
    say(pen, (95, 298), " ".join(digits[:6]), 28)
    say(pen, (330, 298), " ".join(digits[6:]), 28)
    return made


def sudoku(seed: int) -> Image.Image:
    """Draw a sudoku with other digits given."""
    draw = drawn("sudoku", seed)
    made, pen = sheet((560, 560))
    rows = [3 * band + row for band in draw.sample(range(3), 3) for row in draw.sample(range(3), 3)]
    columns = [
        3 * band + row for band in draw.sample(range(3), 3) for row in draw.sample(range(3), 3)
    ]
    digits = draw.sample(range(1, 10), 9)
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            if draw.random() < 0.38:
                digit = digits[(3 * (row % 3) + row // 3 + column) % 9]
                say(pen, (40 + 60 * x, 40 + 60 * y), str(digit), 36, anchor="mm")
    for line in range(10):
        wide = 5 if line % 3 == 0 else 1
        pen.line((10 + 60 * line, 10, 10 + 60 * line, 550), fill="black", width=wide)
        pen.line((10, 10 + 60 * line, 550, 10 + 60 * line), fill="black", width=wide)
    return made


def sheet_music(seed: int) -> Image.Image:
    """Draw a page of staves with other notes."""
    draw = drawn("music", seed)
    made, pen = sheet((720, 900))
    for stave in range(7):
        top = 60 + 118 * stave
        for line in range(5):
            pen.line((40, top + 12 * line, 680, top + 12 * line), fill="black")
        pen.arc((48, top - 10, 76, top + 58), 60, 380, fill="black", width=4)
        for bar in range(1, 5):
            pen.line((40 + 160 * bar, top, 40 + 160 * bar, top + 48), fill="black", width=2)
        for note in range(15):
            x, y = 96 + 39 * note, top + 6 * draw.randint(-1, 9)
            full = draw.random() < 0.75
            pen.ellipse(
                (x - 8, y - 6, x + 8, y + 6),
                fill="black" if full else "white",
                outline="black",
                width=2,
            )
            up = y > top + 24
            pen.line(
                (x + (7 if up else -7), y, x + (7 if up else -7), y + (-40 if up else 40)),
                fill="black",
                width=2,
            )
    return made


def text_page(seed: int) -> Image.Image:
    """Draw the page of a book: other words."""
    draw = drawn("page", seed)
    made, pen = sheet((640, 900), "#fffdf7")
    for part in range(4):
        paragraph(pen, draw, (60, 60 + 200 * part, 580, 250 + 200 * part), 18)
    say(pen, (320, 870), str(draw.randint(2, 499)), 16, anchor="mm")
    return made


def chess(seed: int) -> Image.Image:
    """Draw a chess diagram; each seed continues the game by one move."""
    made, pen = sheet((640, 640))
    board = _position(seed % 60, drawn("game", seed // 60))
    for square in range(64):
        x, y = 80 * (square % 8), 80 * (square // 8)
        light = (square + square // 8) % 2 == 0
        pen.rectangle((x, y, x + 79, y + 79), fill="#f0d9b5" if light else "#b58863")
        if board[square] != ".":
            _piece(pen, x, y, board[square])
    return made


def _position(moves: int, draw: Random) -> list[str]:
    """Play so many moves from the start: a piece of either side in turn goes to another square."""
    board = list("rnbqkbnrpppppppp" + "." * 32 + "PPPPPPPPRNBQKBNR")
    for move in range(moves + 1):
        own = [
            n
            for n, piece in enumerate(board)
            if piece != "." and piece.isupper() == (move % 2 == 0)
        ]
        free = [n for n, piece in enumerate(board) if piece == "."]
        start, end = draw.choice(own), draw.choice(free)
        board[start], board[end] = ".", board[start]
    return board


def _piece(pen: ImageDraw.ImageDraw, x: int, y: int, piece: str) -> None:
    fill, edge = ("white", "black") if piece.isupper() else ("#222222", "#dddddd")
    kind = piece.lower()
    pen.polygon(
        [(x + 20, y + 70), (x + 60, y + 70), (x + 50, y + 40), (x + 30, y + 40)],
        fill=fill,
        outline=edge,
        width=2,
    )
    if kind == "p":
        pen.ellipse((x + 28, y + 24, x + 52, y + 46), fill=fill, outline=edge, width=2)
    elif kind == "r":
        pen.rectangle((x + 22, y + 16, x + 58, y + 42), fill=fill, outline=edge, width=2)
    elif kind == "n":
        pen.polygon(
            [(x + 26, y + 44), (x + 18, y + 30), (x + 40, y + 10), (x + 58, y + 44)],
            fill=fill,
            outline=edge,
            width=2,
        )
    elif kind == "b":
        pen.ellipse((x + 28, y + 8, x + 52, y + 48), fill=fill, outline=edge, width=2)
    else:
        tops = 3 if kind == "q" else 2
        points: list[tuple[float, float]] = [(x + 20, y + 44), (x + 60, y + 44)]
        points += [
            (x + 64 - 24 * n / tops, y + (12 if n % 2 == 0 else 30)) for n in range(2 * tops + 1)
        ]
        pen.polygon(points, fill=fill, outline=edge, width=2)
