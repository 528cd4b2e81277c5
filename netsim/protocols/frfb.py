"""Fixed random feedback (feedback alignment): R stays as it was drawn.

    ΔR_l = 0

Source: Lillicrap, Cownden, Tweed and Akerman (2016), Nature Communications 7:13276; Amit (2019), section 3.1.
"""

from netsim.protocols.protocol import Protocol

FRFB = Protocol("frfb", feedback_rate=0.0)
