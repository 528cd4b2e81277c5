"""Updated random feedback: R learns by the product that W learns by, or by ε times it.

    ΔW_l = (η/B) Σ δ_l x_{l-1}ᵗ        ΔR_l = ε ΔW_l

ε = 1 is URFB; a smaller one lies between it and FRFB (ε = 0).

Source: Amit (2019), section 3.1 and eq. 7.
"""

from netsim.protocols.protocol import Protocol

URFB = Protocol("urfb", feedback_rate=1.0)
