"""Direct feedback alignment: each hidden layer receives the output error straight, through a fixed random matrix.

    δ_l = g_l · (D_l δ_L)        ΔW_l = (η/B) Σ δ_l x_{l-1}ᵗ

D_l : (units of layer l, C), ``layer.D``; drawn from (seed, layer), uniform in ±sqrt(6 / (units + C)) as all weights
here, and never changed. Layers with weights have a D, except the output; their gate applies (eq. 3). Pools, drops and
sums have no part in it: no signal passes them, and they go on carrying x. R is not read and stays as it was drawn.

Source: Nøkland (2016), "Direct feedback alignment provides learning in deep neural networks", NeurIPS.
"""

from netsim.protocols.protocol import Protocol

DFA = Protocol("dfa", direct=True)
