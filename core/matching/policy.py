"""Every threshold of the verdict in one value, with the source of its number.

"Measured" means: on 300 photos with 21 kinds of edit and on two sets of 44,850 pairs of different
photos, one of them shop photos of similar goods on white (`seenit evaluate` measures your own).
"""

from __future__ import annotations

from msgspec import Struct


class Policy(Struct, frozen=True, kw_only=True):
    """Thresholds; `version` names them in every verdict and changes with any of them."""

    version: str = "2"

    # --- candidates ---

    phash_radius: int = 12
    """Bits of 64 within which a hash makes a candidate; measured: re-encoding stays within 8."""
    visual_top: int = 20
    """Nearest neighbours requested in the visual space."""
    visual_floor: float = 0.5
    """Cosine under which a neighbour is no candidate."""
    alike: float = 0.9
    """Cosine from which a neighbour is aligned although neither hash nor features find it."""
    alike_top: int = 1
    """Number of such neighbours: a model may find hundreds similar, each costs an alignment, and a
    copy that hash and features both miss is the nearest or the model misses it too. Measured: no
    edit was confirmed by a similarity alone, with a dual encoder or a small CLIP."""
    feature_votes: int = 3
    """Local features that must agree on one place; measured: of 300 crops to a quarter 287 have
    three, 284 have four; every false candidate costs one alignment, never a verdict."""
    likely_votes: int = 5
    """Votes from which a pair is looked at again, reduced, before it is given up."""
    feature_top: int = 20
    """Pictures whose features vote."""
    rich: int = 50
    """Keypoints from which the lack of votes speaks against a candidate of hash or vector alone;
    measured: of 303 edited photos that the hash finds all have five votes, of 600 x 300 pairs of
    other photos that it finds none has two."""
    candidates: int = 32
    """Candidates examined for one picture, at most."""
    matches: int = 20
    """Matches listed in a verdict, at most."""

    # --- where a region might be shared ---

    ratio: float = 0.85
    """Lowe's ratio of the nearest to the second nearest descriptor (0.8 in Lowe 2004): more true
    matches, and the false ones follow no map."""
    tolerance: float = 4.0
    """Pixels of the original's preview within which a keypoint follows a map."""
    settled: float = -12.0
    """Logarithm of the false alarms from which reversed brightness is not tried."""
    hopeful: float = -3.0
    """The same from which a small part is looked at again, enlarged."""
    chance: float = -4.0
    """The same above which chance would do as well, so that no pixel is read."""
    bent: float = -15.0
    """The same above which a deformation is tried although most blocks agree."""
    even_share: float = 0.9
    """Share of agreeing blocks under which a deformation is tried."""

    # --- what must agree ---

    certain: float = -25.0
    """Logarithm of the false alarms from which matches alone decide; measured: different goods had
    -21 at best, true copies -300 in the median."""
    blocks: int = 5
    """Blocks that must agree even then: the region must exist in the pixels."""
    strong_blocks: int = 12
    """Blocks that must agree strongly with fewer matches than that."""
    probable: float = -14.0
    """Logarithm of the false alarms from which most inner blocks must agree."""
    inner_share: float = 0.75
    """Share of the blocks without plain ground that must: outlines alone prove nothing."""
    inner_blocks: int = 8
    """Number of such blocks that must."""
    outlined: float = -9.0
    """Logarithm of the false alarms from which outlines suffice if they fit exactly."""
    outlined_share: float = 0.95
    """Share of all blocks that must agree for that; measured: of 689 pairs of different goods with
    near hashes, the closest had 0.91 of its blocks, -6.8 and a correlation of 0.983."""
    outlined_correlation: float = 0.985
    """Median correlation that they must have."""
    possible: float = -6.0
    """Logarithm of the false alarms from which nearly everything must agree."""
    possible_share: float = 0.9
    """Share of all blocks, and of those without plain ground, that must."""
    shared: float = -15.0
    """Logarithm of the false alarms from which a map explains the points that follow it."""
    examined: int = 3
    """Closest variants of one layout that are examined; further ones rest on the same points."""
    own: float = -16.0
    """The same above which points that no other anchor explains prove nothing; measured: another
    instance of a template lies above it in 33 of 40, a copy of a stored one below -27 in 34 of 40.
    """
    squeezed: float = 1.5
    """Ratio of two aspect ratios from which a whole picture is matched in the other's shape:
    keypoints survive a stretch up to about that."""
    turn_radius: int = 14
    """Bits within which a turn is reported, and a squeezed picture is matched in the other's shape.
    """


POLICY = Policy()
"""Default policy, which every service uses."""
