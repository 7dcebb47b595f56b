"""Every threshold of the verdict in one value, with where its number comes from.

Measured means: on 300 photos with 21 kinds of edit and on two sets of 44,850 pairs of different
photos, one of them shop photos of alike goods on white (`seenit evaluate` measures one's own).
"""

from __future__ import annotations

from msgspec import Struct


class Policy(Struct, frozen=True, kw_only=True):
    """Thresholds; `version` names them in every verdict and changes with any of them."""

    version: str = "1"

    # --- candidates ---

    phash_radius: int = 12
    """Bits of 64 within which a hash makes a candidate; measured: re-encoding stays within 8."""
    visual_top: int = 20
    """Nearest neighbours asked for in the visual space."""
    visual_floor: float = 0.5
    """Cosine under which a neighbour is no candidate."""
    alike: float = 0.9
    """Cosine from which a neighbour is laid over although neither hash nor features find it."""
    alike_top: int = 1
    """Of those only the nearest: a model may find hundreds alike, each costs an alignment, and a
    copy that hash and features both miss is the nearest or the model misses it too. Measured: no
    edit was confirmed by a similarity alone, with a dual encoder or a small CLIP."""
    feature_votes: int = 3
    """Local features that must agree on one place; measured: of 300 crops to a quarter 287 have
    three, 284 have four; every false candidate costs one alignment, never a verdict."""
    feature_top: int = 20
    """Pictures whose features vote."""
    candidates: int = 32
    """Most that are looked at for one picture."""
    matches: int = 20
    """Most that a verdict lists."""

    # --- how the picture might lie on the original ---

    turn_radius: int = 14
    """Bits within which whole is tried on whole, by the turn that came closest."""
    turn_slack: int = 2
    """Bits by which another turn may be farther and is tried as well."""
    ratio: float = 0.8
    """Lowe's ratio of the nearest to the second nearest descriptor (Lowe 2004)."""
    inliers: int = 5
    """Distinct keypoints that must follow one map."""
    tolerance: float = 4.0
    """Pixels of the original's preview within which a keypoint follows a map."""

    # --- what must agree ---

    drift: float = 0.08
    """Share of the side that refinement may move a corner before it counts as gone astray."""
    texture: float = 8.0
    """Grey levels a block must vary by, in either picture, to say anything."""
    agreeing: float = 0.85
    """Correlation of a block from which it agrees; measured: JPEG 10 has a median of 0.97."""
    coarse: float = 0.95
    """Correlation of coarse texture from which a block agrees though its fine texture suffered."""
    coarse_texture: float = 5.0
    """Grey levels the coarse texture must vary by, in both."""
    noise: float = 8.0
    """Grey levels that compression may add to a block; measured: 6 left 1 more of 100 unfound."""
    half_agreeing: float = 0.65
    """Correlation that such a block must have all the same."""
    level: float = 30.0
    """Grey levels by which a plain block may miss what the light of the others makes of it."""
    blocks: int = 10
    """Blocks that must agree in all."""
    share: float = 0.9
    """Share of the textured blocks that must agree where nothing was laid over."""
    inner_share: float = 0.85
    """The same of the blocks that hold no plain ground: outlines alone prove nothing."""
    inner_blocks: int = 6
    """Such blocks that must agree."""
    exact: float = 0.97
    """Correlation of a block that lies exactly on its like: outlines of different goods do not."""
    exact_share: float = 0.85
    """Share of the textured blocks that must be exact where there is nothing but outline."""
    exact_blocks: int = 12
    """And how many there must be."""
    exact_side: int = 96
    """Pixels of the overlap's long side for that; measured: at 64, seven of 18,000 pairs of shop
    photos, one of them at quarter size, lay exactly on each other."""
    exact_drift: float = 0.02
    """Share of the side that refinement may have moved a corner for that: copies lie right."""
    rest_share: float = 0.95
    """Share that must agree outside of what was laid over."""
    cover: float = 0.55
    """Most of the overlap that may be laid over."""
    solid: float = 0.8
    """Share of a region's box that must disagree for it to be something laid over."""
    veil_blocks: int = 20
    """Textured blocks without plain ground from which a half transparent overlay may be seen."""
    veil_alike: float = 0.6
    """Mean correlation of all blocks under it."""
    veil_gone: float = 0.3
    """Correlation under which nothing of a block shows through."""
    veil_gone_share: float = 0.15
    """Most blocks that may be so."""
    veil_noise: float = 14.0
    """Grey levels up to which a difference is no veil."""
    veil_back: float = 0.02
    """Change to the other side, lighter or darker, as a share of the change to the one; measured:
    0.000 under watermarks, at least 0.04 between forms, cards and charts of one make."""
    whole: float = 0.6
    """One of the pictures must lie in the overlap by that share of its area."""
    part: float = 0.08
    """And the other by that."""


POLICY = Policy()
"""The policy that ships."""
