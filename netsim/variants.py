"""Where a step may differ from the paper's text: what the author's code does, each difference by itself.

The first value of each is the default. `netsim.presets` puts sets of them together.
"""

from __future__ import annotations

from dataclasses import dataclass

from netsim.errors import OptionError, nearest, shown
from netsim.values import check_number

_WORDS = {
    "feedback_through": ("old", "updated"),
    "untied_feedback": ("current", "epoch"),
    "feedback_input": ("x", "positive"),
}


@dataclass(frozen=True, slots=True)
class Variants:
    """Differences of a step.

    Attributes
    ----------
    feedback_through : "old", a signal comes down through the R of before this batch's update (so R = W is exact
        back-propagation), or "updated": a layer learns first, and its signal comes down through its new R
    untied_feedback : R through which the signals of untied layers come down: the "current" one, or a copy made when
        the "epoch" begins
    feedback_input : what the update of R multiplies the signal with: "x", as that of W, or the "positive" part of x
    feedback_clip : None, or s > 0: what comes down from a layer whose units have sigma, R delta, becomes
        clip(s * R delta, -1, 1), before pools, drops, sums and the gates below; from the linear output layer it stays

    Raises
    ------
    OptionError : another word, or a number out of range
    """

    feedback_through: str = "old"
    untied_feedback: str = "current"
    feedback_input: str = "x"
    feedback_clip: float | None = None

    def __post_init__(self) -> None:
        for name, known in _WORDS.items():
            value = getattr(self, name)
            if not isinstance(value, str) or value not in known:
                raise OptionError(f"is {shown(value)}{nearest(str(value)[:40], known)}", name)
        if self.feedback_clip is not None:
            object.__setattr__(self, "feedback_clip", check_number("feedback_clip", self.feedback_clip, above=0))

    @property
    def chosen(self) -> list[str]:
        """Names of the options that differ from the text; none for the paper's step."""
        plain = Variants()
        return [name for name in self.__slots__ if getattr(self, name) != getattr(plain, name)]
