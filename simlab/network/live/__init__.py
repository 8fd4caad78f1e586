"""The live world: real associations over real TCP, paced by the wall clock."""
