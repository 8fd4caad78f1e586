"""Links between sites, as values and as logic without sockets, so that every world can have them."""
