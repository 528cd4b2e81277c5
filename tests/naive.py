"""The paper's algorithm, slow and obvious: float64, one equation a line, nothing of ours imported.

Equation, section and remark numbers are those of Amit (2019), Front. Comput. Neurosci. 13:18.
A network is a list of (kind, parameters); W and R are dicts from layer names to arrays of the public shapes:
conv (Kh, Kw, C_in, C_out), untied (H, W, Kh, Kw, C_in, C_out), full and output (n_in, n_out).
Images are (B, H, W, C), activities (B, *shape of the layer). The event level has its own twin: `naive_events.py`.
"""

import re
from types import SimpleNamespace

import numpy as np

WEIGHTED = ("conv", "untied", "full", "output")
EPSILON = {"bp": 1.0, "frfb": 0.0, "urfb": 1.0, "kolen-pollack": 1.0, "sign-symmetry": 0.0, "dfa": 0.0}
SATURATED = ("conv", "untied", "full")  # have sigma; Remark 2: none on top, and a sum has none


PARAMETERS = {
    "conv": ("filters", "rows", "columns"),
    "untied": ("filters", "rows", "columns"),
    "maxpool": ("window", "stride"),
    "drop": ("fraction",),
    "full": ("units",),
}


# --------------------------------------------------------------------------------------------- the network
def listing(text):
    """'conv 2 3x3; maxpool 3, stride 2; drop .5; full 4; sum; output' as a list of (kind, parameters)."""
    layers = []
    for part in text.lower().split(";"):
        kind = re.match(r"\s*([a-z]+)", part)[1]
        numbers = [float(n) if kind == "drop" else int(n) for n in re.findall(r"[0-9.]+", part)]
        if kind == "maxpool" and len(numbers) == 1:
            numbers.append(2)  # the stride
        layers.append((kind, dict(zip(PARAMETERS.get(kind, ()), numbers, strict=True))))
    return layers


def names_of(layers):
    """Kind and ordinal: conv1, conv2, maxpool1, ..., output."""
    kinds = [kind for kind, _ in layers]
    return [k if k == "output" else f"{k}{kinds[: i + 1].count(k)}" for i, k in enumerate(kinds)]


def parents_of(layers):
    """Names of the layers that each layer reads: the one before it; for a sum the two before it."""
    below = ["input", *names_of(layers)]
    return {below[i + 1]: below[i - 1 : i + 1] if kind == "sum" else below[i : i + 1]
            for i, (kind, _) in enumerate(layers)}  # fmt: skip


def shapes_of(layers, input_shape, classes):
    """Shape of every layer, and of the input."""
    shapes, parents = {"input": tuple(input_shape)}, parents_of(layers)
    for name, (kind, p) in zip(names_of(layers), layers, strict=True):
        below = shapes[parents[name][0]]
        if kind in ("conv", "untied"):
            shapes[name] = (*below[:2], p["filters"])
        elif kind == "maxpool":
            shapes[name] = (-(-below[0] // p["stride"]), -(-below[1] // p["stride"]), below[2])
        elif kind in ("full", "output"):
            shapes[name] = (p["units"] if kind == "full" else classes,)
        else:
            shapes[name] = below
    return shapes


def weight_shapes(layers, input_shape, classes):
    """Shape of W and R of every layer that has them."""
    shapes, parents = shapes_of(layers, input_shape, classes), parents_of(layers)
    result = {}
    for name, (kind, p) in zip(names_of(layers), layers, strict=True):
        below = shapes[parents[name][0]]
        if kind in ("full", "output"):
            result[name] = (int(np.prod(below)), shapes[name][0])
        elif kind in ("conv", "untied"):
            place = below[:2] if kind == "untied" else ()
            result[name] = (*place, p["rows"], p["columns"], below[2], p["filters"])
    return result


# -------------------------------------------------------------- the three products of a layer with weights
def bordered(x, rows, columns):
    """x with a border of zeros, so that a filter at every pixel sees offsets -(K-1)//2 .. K//2."""
    top, left = (rows - 1) // 2, (columns - 1) // 2
    return np.pad(x, ((0, 0), (top, rows - 1 - top), (left, columns - 1 - left), (0, 0)))


def unbordered(x, rows, columns):
    """The inner part of a bordered array: what stands outside the grid is dropped."""
    top, left = (rows - 1) // 2, (columns - 1) // 2
    return x[:, top : x.shape[1] - (rows - 1 - top), left : x.shape[2] - (columns - 1 - left)]


def at_pixel(W, i, j):
    """The filters at pixel (i, j) as a matrix (Kh Kw C_in, C_out): tied weights are the same everywhere."""
    W = W[i, j] if W.ndim == 6 else W
    return W.reshape(-1, W.shape[-1])


def feedforward_sum(W, x):
    """h_i = sum_j W_ij x_j (eq. 1)."""
    if W.ndim == 2:
        return x.reshape(len(x), -1) @ W
    rows, columns = W.shape[-4:-2]
    B, height, width, _ = x.shape
    below, h = bordered(x, rows, columns), np.zeros((B, height, width, W.shape[-1]))
    for i in range(height):
        for j in range(width):
            patch = below[:, i : i + rows, j : j + columns].reshape(B, -1)
            h[:, i, j] = patch @ at_pixel(W, i, j)
    return h


def feedback_sum(R, delta, shape_below):
    """u_j = sum_i R_ij delta_i: eq. 2 with R in the place of W transposed (section 3.1)."""
    B = len(delta)
    if R.ndim == 2:
        return (delta @ R.T).reshape(B, *shape_below)
    rows, columns = R.shape[-4:-2]
    u = bordered(np.zeros((B, *shape_below)), rows, columns)
    for i in range(shape_below[0]):
        for j in range(shape_below[1]):
            signal = delta[:, i, j] @ at_pixel(R, i, j).T
            u[:, i : i + rows, j : j + columns] += signal.reshape(B, rows, columns, shape_below[2])
    return unbordered(u, rows, columns)


def hebbian_sum(shape, x, delta):
    """Increment of every weight: sum over the images (and, tied, the pixels) of delta_i x_j (eq. 2)."""
    B, increment = len(x), np.zeros(shape)
    if len(shape) == 2:
        return x.reshape(B, -1).T @ delta
    rows, columns = shape[-4:-2]
    below = bordered(x, rows, columns)
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            patch = below[:, i : i + rows, j : j + columns].reshape(B, -1)
            place = (i, j) if len(shape) == 6 else ...
            increment[place] += (patch.T @ delta[:, i, j]).reshape(shape[-4:])
    return increment


# ----------------------------------------------------------------------------------------- maximum pooling
def pool_border(x, window, anchor):
    """x with zeros around: before and behind, half a window each (center) or all of it behind (corner)."""
    if anchor == "corner":
        return np.pad(x, ((0, 0), (0, window - 1), (0, window - 1), (0, 0)))
    return bordered(x, window, window)


def windows(x, window, stride, anchor="center"):
    """Every window of a pool: (place (i, j) in the pool, bordered units (B, K, K, C) that it sees)."""
    below = pool_border(x, window, anchor)
    for i in range(-(-x.shape[1] // stride)):
        for j in range(-(-x.shape[2] // stride)):
            top, left = i * stride, j * stride
            yield (i, j), below[:, top : top + window, left : left + window]


def maxpool(x, window, stride, anchor="center", ties="first"):
    """Maximum of each window; outside the grid stands 0, which can win."""
    pool = np.zeros((len(x), -(-x.shape[1] // stride), -(-x.shape[2] // stride), x.shape[3]))
    for (i, j), seen in windows(x, window, stride, anchor):
        pool[:, i, j] = seen.max(axis=(1, 2))
    return pool


def maxpool_feedback(x, signal, window, stride, anchor="center", ties="first"):
    """A pool unit's signal goes to its winner, the first maximum in row-major order, or to all that tie with it;
    outside to nobody.
    """
    u = pool_border(np.zeros_like(x), window, anchor)
    for (i, j), seen in windows(x, window, stride, anchor):
        for b in range(x.shape[0]):
            for c in range(x.shape[3]):
                for at in np.flatnonzero(seen[b, :, :, c] == seen[b, :, :, c].max()):
                    row, column = divmod(int(at), window)
                    u[b, i * stride + row, j * stride + column, c] += signal[b, i, j, c]
                    if ties == "first":
                        break
    if anchor == "corner":
        return u[:, : x.shape[1], : x.shape[2]]
    return unbordered(u, window, window)


# ------------------------------------------------------------------------------------------------- dropout
MASK64 = 2**64 - 1


def mix(z):
    """The splitmix64 finalizer on unsigned 64-bit integers."""
    z = (z + 0x9E3779B97F4A7C15) & MASK64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK64
    return z ^ (z >> 31)


def counter_hash(seed, epoch, batch, layer, unit):
    """32 random bits that depend on the five counters and on nothing else."""
    key = 0x9E3779B97F4A7C15
    for word in (seed, epoch, batch, layer):
        key = mix(key ^ (word & MASK64))
    return mix((key + unit * 0xD1342543DE82EF95) & MASK64) >> 32


def keep_masks(layers, input_shape, classes, B, seed, epoch, batch, drop):
    """Units that each drop layer keeps: bool (B, *shape); `drop` is 'sample', 'batch' or 'off'."""
    masks, shapes = {}, shapes_of(layers, input_shape, classes)
    for position, (name, (kind, p)) in enumerate(zip(names_of(layers), layers, strict=True)):
        if kind != "drop" or drop == "off":
            continue
        units, threshold = int(np.prod(shapes[name])), round(p["fraction"] * 2**32)
        kept = np.zeros((B, units), bool)
        for b in range(B):
            for u in range(units):
                counter = (b if drop == "sample" else 0) * units + u
                kept[b, u] = counter_hash(seed, epoch, batch, position, counter) >= threshold
        masks[name] = kept.reshape(B, *shapes[name])
    return masks


# ---------------------------------------------------------------------------------------------- the phases
def feedforward(layers, images, W, *, slope=1.0, masks=None):
    """Feedforward phase: (x, h), dicts of what every layer carries and of its input before sigma."""
    x, h, masks = {"input": np.asarray(images, float)}, {}, masks or {}
    parents = parents_of(layers)
    for name, (kind, p) in zip(names_of(layers), layers, strict=True):
        below = x[parents[name][0]]
        if kind in WEIGHTED:
            h[name] = feedforward_sum(W[name], below)  # eq. 1
            x[name] = h[name] if kind == "output" else np.clip(slope * h[name], -1.0, 1.0)  # Remark 2
        elif kind == "maxpool":
            x[name] = maxpool(below, **p)
        elif kind == "drop":
            x[name] = below * masks[name] / (1.0 - p["fraction"]) if name in masks else below
        elif kind == "sum":
            x[name] = below + x[parents[name][1]]
    return x, h


def onehot(labels, classes):
    return np.arange(classes)[None, :] == np.asarray(labels)[:, None]


def loss_of(scores, labels, loss="hinge", mu=None):
    """Loss of each image (B,): eq. 4, or the cross-entropy of the softmax (section 3.2)."""
    own = onehot(labels, scores.shape[1])
    mu = 1.0 / (scores.shape[1] - 1) if mu is None else mu
    if loss == "hinge":
        own_part, other_part = np.maximum(1.0 - scores, 0.0), np.maximum(1.0 + scores, 0.0)
        return np.where(own, own_part, mu * other_part).sum(axis=1)  # eq. 4
    shifted = scores - scores.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1)) - shifted[own]


def output_error(scores, labels, loss="hinge", mu=None):
    """delta of the output layer, minus the derivative of the loss: eq. 6, or y - softmax(x)."""
    own = onehot(labels, scores.shape[1])
    mu = 1.0 / (scores.shape[1] - 1) if mu is None else mu
    if loss == "hinge":
        return np.where(own, np.where(scores <= 1.0, 1.0, 0.0), np.where(scores >= -1.0, -mu, 0.0))  # eq. 6
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return own - e / e.sum(axis=1, keepdims=True)


def feedback(layers, x, R, delta_output, *, slope=1.0, masks=None, clip=None, through=None, delta=None):
    """Feedback phase, top down: (delta, increments); an increment takes delta above, x below (Remark 1).

    clip: what a layer with sigma sends down becomes clip(clip * R delta, -1, 1). through: function of (name, increment)
    that gives the weights to come down through, in place of R. delta: dict to put the signals into.
    """
    delta, increments, masks, parents = {} if delta is None else delta, {}, masks or {}, parents_of(layers)
    arriving = {name: np.zeros_like(x[name]) for name in x}  # summed over all layers that read this one
    for name, (kind, p) in reversed(list(zip(names_of(layers), layers, strict=True))):
        if kind == "output":
            delta[name] = delta_output
        elif kind in SATURATED:
            gate = slope * (np.abs(x[name]) < 1.0)  # eq. 3
            delta[name] = gate * arriving[name]  # eq. 2
        elif name in masks:
            delta[name] = arriving[name] * masks[name]  # a dropped unit stays silent
        else:
            delta[name] = arriving[name]
        for parent in parents[name]:
            below = x[parent]
            if kind in WEIGHTED:
                increments[name] = hebbian_sum(R[name].shape, below, delta[name])
                used = R[name] if through is None else through(name, increments[name])
                signal = feedback_sum(used, delta[name], below.shape[1:])
                if clip is not None and kind in SATURATED:
                    signal = np.clip(clip * signal, -1.0, 1.0)
            elif kind == "maxpool":
                signal = maxpool_feedback(below, delta[name], **p)
            elif kind == "drop":
                signal = delta[name] / (1.0 - p["fraction"]) if name in masks else delta[name]
            elif kind == "sum":
                signal = delta[name]
            arriving[parent] = arriving[parent] + signal
    return delta, increments


def feedback_directly(layers, x, W, D, delta_output, *, slope=1.0):
    """Direct feedback alignment (Nøkland 2016): the output error goes straight to every hidden layer with weights.

    D: (units, classes) of each. Pools, drops and sums get no signal and go on carrying x.
    """
    delta, increments, parents = dict(x), {}, parents_of(layers)
    del delta["input"]
    for name, (kind, _) in zip(names_of(layers), layers, strict=True):
        if kind in SATURATED:
            arriving = (delta_output @ D[name].T).reshape(x[name].shape)
            delta[name] = slope * (np.abs(x[name]) < 1.0) * arriving  # eq. 3
    delta["output"] = delta_output
    for name, (kind, _) in zip(names_of(layers), layers, strict=True):
        if kind in WEIGHTED:  # every synapse takes x below, the signal above
            below = x[parents[name][0]]
            increments[name] = hebbian_sum(W[name].shape, below, delta[name])
    return delta, increments


def signs(W):
    """Sign-symmetry (Liao et al. 2016): R = s sign(W), s the standard deviation of Glorot's distribution."""
    R = {}
    for name, w in W.items():
        area, (c_in, c_out) = int(np.prod(np.shape(w)[-4:-2])), np.shape(w)[-2:]
        R[name] = np.sqrt(2.0 / (area * (c_in + c_out))) * np.sign(w)
    return R


def step(layers, images, labels, W, R, *, protocol="urfb", epsilon=None, loss="hinge", mu=None, eta=0.1,
         decay=None, slope=1.0, masks=None, W_mask=None, R_mask=None, frozen=(), D=None, R_epoch=None,
         feedback_through="old", feedback_input="x", feedback_clip=None, delta_output=None):  # fmt: skip
    """One batch of the phase-locked algorithm: everything that any unit carried, and the weights after it.

    protocol: 'bp' (R is W), 'frfb' (epsilon 0), 'urfb' (epsilon 1); `epsilon` in between as in eq. 7;
    'kolen-pollack' (epsilon 1, decay 0.01 if none is given), 'sign-symmetry' (R = s sign(W)), 'dfa' (D, no R).
    masks: units kept by the drop layers; W_mask, R_mask: connections that exist (dicts, bool).
    feedback_through: 'updated' lets the signal of a layer come down through its R of after this update (the author's
    order). R_epoch: R of untied layers as the epoch began, through which theirs comes down (dict). feedback_input:
    'positive' lets R learn from the positive part of x. feedback_clip: see `feedback`.
    delta_output: output error to go on from, instead of the one computed here.
    """
    W = {name: np.asarray(w, float) for name, w in W.items()}
    R = {name: np.asarray(r, float) for name, r in (W if protocol == "bp" else R).items()}
    if protocol == "sign-symmetry":
        R = signs(W)
    if epsilon is None:
        epsilon = EPSILON[protocol]
    if decay is None:
        decay = 0.01 if protocol == "kolen-pollack" else 0.0
    x, h = feedforward(layers, images, W, slope=slope, masks=masks)
    scores = x["output"]
    if delta_output is None:
        delta_output = output_error(scores, labels, loss, mu)
    B, new_W, new_R, increments_R = len(images), {}, {}, {}

    def learn(name, increment):
        """W and R of a layer after the update."""
        exists_W = 1.0 if not W_mask or W_mask.get(name) is None else W_mask[name]
        exists_R = 1.0 if not R_mask or R_mask.get(name) is None else R_mask[name]
        if feedback_input == "positive":
            below, above = x[parents_of(layers)[name][0]], learn.delta[name]
            increments_R[name] = hebbian_sum(W[name].shape, np.maximum(below, 0.0), above)
        if name in frozen:
            return W[name], R[name]
        W_after, R_after = (1.0 - eta * decay) * W[name] + (eta / B) * increment * exists_W, R[name]
        if epsilon > 0.0:  # the same increment for the feedback synapse (section 3.1, eq. 7)
            change = epsilon * (eta / B) * increments_R.get(name, increment) * exists_R
            R_after = (1.0 - eta * decay) * R[name] + change
        if protocol == "sign-symmetry":
            R_after = signs({name: W_after})[name]
        return W_after, W_after if protocol == "bp" else R_after

    def through(name, increment):
        """The weights that the signal of a layer comes down through."""
        if R_epoch and name in R_epoch:
            return np.asarray(R_epoch[name], float)
        return learn(name, increment)[1] if feedback_through == "updated" else R[name]

    learn.delta = {}
    if protocol == "dfa":
        delta, increments = feedback_directly(layers, x, W, D, delta_output, slope=slope)
    else:
        delta, increments = feedback(layers, x, R, delta_output, slope=slope, masks=masks, clip=feedback_clip,
                                     through=through, delta=learn.delta)  # fmt: skip
    for name, increment in increments.items():
        new_W[name], new_R[name] = learn(name, increment)
    return SimpleNamespace(
        scores=scores, x=x, h=h, delta=delta, increments=increments, increments_R=increments_R,
        loss=float(loss_of(scores, labels, loss, mu).mean()),
        error_rate=float(np.mean(scores.argmax(axis=1) != np.asarray(labels))),
        W=new_W, R=new_W if protocol == "bp" else new_R,
    )  # fmt: skip
