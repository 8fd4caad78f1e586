"""simlab and its peers side by side: how fast, and at what cost. Run by ``make bench``.

What is fair, and how it is made so:

- Rounds interleave the contestants (A B C A B C ...). Figures are medians over the rounds; ratios are medians of the
  rounds' own ratios, so that whatever else the machine did then cancels.
- Whole processes are timed from outside, as the slope between a small and a large run: start-up falls out, for all
  alike. So does the making of simlab's corpus, which does not grow with the run: what these rows compare is a
  *pre-encoded corpus* with files that are read, parsed and encoded. "Same files from disk" is a row of its own, and
  "whole job" counts everything.
- Servers that store start each measurement empty, are warmed up with a few instances, and get every instance once.
  What they hold is counted afterwards, and the clock runs until they hold everything.
- The files lie in memory where there is room, which is kind to those who read them. TCP_NODELAY is set everywhere:
  with Nagle's algorithm, which DCMTK and Orthanc leave on by default, their figures would be a hundredth.
"""
