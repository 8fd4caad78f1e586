"""The relay: links between sites as real connections feel them, in a process of its own."""
