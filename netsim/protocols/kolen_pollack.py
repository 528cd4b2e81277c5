"""Kolen-Pollack: URFB in which W and R decay alike, so that they meet.

    W_l <- (1 - ηλ) W_l + ΔW_l        R_l <- (1 - ηλ) R_l + ΔW_l

so W - R shrinks by the factor 1 - ηλ in every step, whatever is learned.

Source: Kolen and Pollack (1994), "Backpropagation without weight transport", IEEE ICNN 3:1375; with deep nets Akrout
et al. (2019), NeurIPS. The value of λ is ours: see `DECAY`.
"""

from netsim.protocols.protocol import Protocol

#: λ where none is given. With the paper's step size 0.1, W - R falls to a tenth in 2,300 batches. (simpnet on digits,
#: 15 epochs, 2 seeds: with λ up to 0.03 the validation error is that of URFB, 4-5 %; with 0.1 it is 17-23 %.)
DECAY = 0.01

KOLEN_POLLACK = Protocol("kolen-pollack", feedback_rate=1.0, decay=DECAY)
