"""The circuits of the paper's Appendix 1 as neurons, in Brian2; this package imports nothing of netsim.

    motifs         the threshold circuit (eq. 3) and the output error circuit (eq. 6), as functions
    layered        whole small nets of them, with plastic W and R
    calibration    what the circuits measure, as JSON
    comparator     the interneuron that both circuits are built of

What each computes is fixed by the paper; the wiring is this project's own. Importing a module imports Brian2.
"""
