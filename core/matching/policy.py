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
    feature_top: int = 20
    """Pictures whose features vote."""
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
    outlined: float = -12.0
    """Logarithm of the false alarms from which outlines suffice if they fit exactly."""
    outlined_share: float = 0.93
    """Share of all blocks that must agree for that."""
    outlined_correlation: float = 0.96
    """Median correlation that they must have."""
    possible: float = -6.0
    """Logarithm of the false alarms from which nearly everything must agree."""
    possible_share: float = 0.9
    """Share of all blocks, and of those without plain ground, that must."""
    turn_radius: int = 14
    """Bits within which a turn is reported, and a squeezed picture is matched in the other's shape.
    """

    # --- the rules of solid boxes ---

    inliers: int = 5
    """Distinct keypoints that must follow one map."""
    turn_slack: int = 2
    """Bits by which another turn may be farther and is tried as well."""
    # --- what must agree ---

    drift: float = 0.08
    """Share of the side by which refinement may move a corner; a larger movement is discarded."""
    texture: float = 8.0
    """Grey levels a block must vary by, in either picture, to be decided."""
    agreeing: float = 0.85
    """Correlation of a block from which it agrees; measured: JPEG 10 has a median of 0.97."""
    coarse: float = 0.95
    """Correlation of coarse texture from which a block agrees though its fine texture suffered."""
    coarse_texture: float = 5.0
    """Grey levels the coarse texture must vary by, in both."""
    noise: float = 8.0
    """Grey levels that compression may add to a block; measured: 6 left 1 more of 100 unfound."""
    half_agreeing: float = 0.65
    """Correlation that such a block must still have."""
    level: float = 30.0
    """Grey levels by which a plain block may differ from the prediction by the light of the others.
    """
    block_count: int = 10
    """Blocks that must agree in total."""
    share: float = 0.9
    """Share of the textured blocks that must agree without an overlay."""
    inner_block_share: float = 0.85
    """The same for blocks without plain ground: outlines alone prove nothing."""
    inner_block_count: int = 6
    """Such blocks that must agree."""
    exact: float = 0.97
    """Correlation of a block that fits exactly: outlines of different goods do not."""
    exact_share: float = 0.85
    """Share of the textured blocks that must be exact if there are only outlines."""
    exact_blocks: int = 12
    """Number of exact blocks for that."""
    exact_side: int = 96
    """Pixels of the overlap's long side for that; measured: at 64, seven of 18,000 pairs of shop
    photos, one of them at quarter size, fitted exactly."""
    exact_drift: float = 0.02
    """Share of the side that refinement may have moved a corner for that: copies fit at once."""
    rest_share: float = 0.95
    """Share that must agree outside of an overlay."""
    cover: float = 0.55
    """Share of the overlap that an overlay may cover, at most."""
    solid: float = 0.8
    """Share of a region's box that must disagree for an overlay."""
    veil_blocks: int = 20
    """Textured blocks without plain ground from which a half transparent overlay is recognised."""
    veil_alike: float = 0.6
    """Mean correlation of all blocks under it."""
    veil_gone: float = 0.3
    """Correlation under which a block does not show through."""
    veil_gone_share: float = 0.15
    """Share of such blocks, at most."""
    veil_noise: float = 14.0
    """Grey levels up to which a difference is no veil."""
    veil_back: float = 0.02
    """Change to the other side, lighter or darker, as a share of the change to the one; measured:
    0.000 under watermarks, at least 0.04 between forms, cards and charts of one make."""
    whole: float = 0.6
    """Share of its area with which one of the pictures must be in the overlap."""
    part: float = 0.08
    """The same share for the other picture."""


POLICY = Policy()
"""Default policy, which every service uses."""
