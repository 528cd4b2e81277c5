"""The engines on a GPU, phase-locked and batched: numba-cuda kernels for everything that `netsim train` does.

    trainer = netsim.cuda.trainer.CudaTrainer(net, protocol="urfb")        # as netsim.Trainer
    learner = netsim.cuda.learner.CudaLearner(trainer, split, batch=500)   # epochs over data that stay there

Nothing of this package is imported unless a GPU is asked for; only `jit` imports numba.cuda.

===========  ==========================================================================================
file         what
===========  ==========================================================================================
jit          compiling and launching kernels, arrays on the device, CUDA graphs
products     the three products of connections, plainly: one thread a value. The reference
tiles        the same in tiles through shared memory and registers. What runs
units        images, drops, sums, the output error; pools: max pooling
connections  one layer's tables and products: which tile, how many parts of a Hebbian sum
layers       the kinds of layers: feedforward, hebbian, feedback, as in `netsim.layers`
network      a net on the device: weights, units, the phases
trainer      `CudaTrainer`: the step, in the paper's order
learner      `CudaLearner`: epochs; the host sends an order and reads losses
components   kernels of imperfect circuits: gates and errors, the scalar bodies of the CPU; imperfection: per layer
mixing       kernels of the batched event engine: the phase that each unit shows to a read; drawn: what a layer drew
batched      `CudaBatchedTrainer`: one presentation under a schedule
===========  ==========================================================================================

What was decided, and why:

One product. A batch's map is a row of locations, NHWC without a border; a full layer is a map of one location. Then
tied, untied and full layers share three kernels (feedforward, feedback, Hebbian: implicit matrix products, no im2col),
with tables that say where each entry of a filter lies. Untied layers add an index: locations with weights of their own.

Bits of chance. Dropout masks come from the hash of the CPU (the same scalar body) of (seed, epoch, batch, layer, unit)
and are drawn anew on both ways, never stored. The order of the images is the CPU's.

Order of sums. No atomics on floating-point numbers. A sum runs over its terms in one order, whatever the tile; where a
product alone gives a GPU too few blocks (Hebbian sums over a batch, layers of few units on many), it is cut into parts
by the sizes of batch and layer, never by the GPU, and the parts are added one after another. So the same seed gives
the same weights, run after run. They are not the bits of the CPU, which adds in another order; after one step they
differ by rounding.

One number a unit, as everywhere: the feedback signal replaces the activity in place, and its gate is read off it.

Data stay on the device: images as they are stored (bytes), labels, the order of an epoch, losses by image. The host
reads the losses, and takes the weights, when an epoch ends or a checkpoint is due (losses also when somebody has waited
for half a second). A step then is only launches, and
after the first of its size one CUDA graph: what differs from step to step (images before this batch, number of the
batch) stands in the device's memory. The graph is built by cuda.core, which numba-cuda itself stands on; the simulator
has none, so there a step is launched kernel by kernel.

Products are float32 multiply-adds throughout; tensor cores (TF32) are not used.
"""
