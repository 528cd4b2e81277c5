"""How a batch's Hebbian increments come about: a file for each way, chosen by `netsim.Trainer`.

============  ============================================================================================
file          what
============  ============================================================================================
setting       what every way works with: the net, the rule, the counters of chance, room for a batch
increments    the sums over a batch, and the parts that they are cut into
signals       what all units carry in the end, put together from the chunks of a batch
ideal         the paper's step: all units of a layer in step, ideal circuits, signals from layer to layer
direct        the same with signals straight from the output (DFA)
variant       where the author's code differs from the paper's text (`netsim.variants`)
imperfect     soft thresholds, leaks and noise (`netsim.components`)
============  ============================================================================================

Each has ``increments(images, labels)`` and ``signals(images, labels)``, of arrays that are checked.
"""
