"""Event-phased simulation: every unit has its own times, and a read sees whatever the other unit carries then.

The model, exactly
==================

*Populations.* The image and every layer except ``drop`` (a drop is a mask on synapses). A unit i carries one
number r_i(t), its *carried value*; before its first event r_i = 0, its gate is open, and a pool unit has no
winner. Nothing else passes between units.

*Presentations.* A stream shows image n from its start S_n to S_{n+1}: S_0 = 0, S_{n+1} = S_n + T_n. At S_n the
input units take the pixels of image n, the teacher names label n, and the drop masks become those of image n.
Pixels, label and masks stand until S_{n+1}, whoever asks: an event that comes late sees those of the next image.
Before S_0 the input carries 0 and there is no teacher (the error circuit answers 0).

*Events* of unit i of layer l in presentation n:

a, feedforward arrival
    h = sum_j W_ij m_j r_j(a), with m_j the mask of the synapse (1, or 0 or 1/(1-p) behind a drop). r_i becomes
    clip(slope h, -1, 1); the gate is latched, open where abs(r_i) < 1. Output: r_i = h. Pool: r_i is the largest
    m_j r_j(a) of its window, 0 standing outside the map, and the unit latches which j won (the first in row-major
    order among equals; none where the outside won). Sum: r_i is the sum of its parents' values.
b, feedback arrival
    u = sum_k R_ik m_i r_k(b) over the units k that read i; a pool k counts (with weight 1) only if i is the winner
    that it has latched; a sum counts with weight 1. r_i becomes slope u where the gate is open, else 0; pools and
    sums have no gate: r_i = u. In the output layer the error circuit answers from what the unit carries itself
    (the softmax circuit: from what all output units carry) and the label then shown (eq. 6, or y - softmax).
c, plasticity, of units with weights
    Delta W_ij += r_i(c) m_j r_j(c) for each synapse from below. R gets epsilon times the same.

*r_j(t)* is what j carries just before t: the last event with a time strictly below t decides. Events at one instant
do not see each other; nor does an event at S_n see image n. If one unit has two events at one instant, the one of
the later presentation counts, and of one presentation b counts.

*Weights* change at the end of a batch (``weights = "batch"``: what comes later goes into the next batch), or with
every event c at once (``"online"``: at an instant, the events a and b read the weights of before it).

*Plasticity lag* q (in presentations; q = k + f with k whole): event c of presentation n takes place k presentations
later, at its place in presentation n + k, plus f nominal periods. Without a tag it reads what is carried then.

*Synaptic tag.* With ``tag_decay`` set, event a of unit j in presentation n leaves m_j r_j in a tag at each synapse
from j (for the image: S_n does), and event c of presentation n reads the tag of presentation n in place of r_j(c):
times exp(-(c - a_j) / tag_decay), and 0 if the tag is not yet set. So the feedback signal that unit i carries at c
meets the presynaptic activity of presentation n, however late c is.

*Times.* Nominally, with the layer delay tau and the populations numbered l = 1..L bottom up, counted from S_n:
a_l = l tau; the feedback phase begins at P = L tau; b_l = P + (L + 1 - l) tau; c_l = b_l + tau/2; T = (2L + 1) tau.
A schedule moves them, see `netsim.events.schedule`.

*Draws.* Each random time is a pure function of (seed, epoch, stream, presentation, layer, unit, kind of event)
through the counter hash: the same for any number of threads and in any order.

Exact engine: `netsim.events.exact`; the same from probabilities, at the speed of matrix products:
`netsim.events.batched`. Orders of presentations: `netsim.events.streams`.
"""

from netsim.events.distributions import Distribution
from netsim.events.presets import PRESETS, preset
from netsim.events.schedule import Schedule

__all__ = ["PRESETS", "Distribution", "Schedule", "preset"]
