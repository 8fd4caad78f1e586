"""Pictures and pages out of numbers: the network, plots, tables, and the HTML report."""
