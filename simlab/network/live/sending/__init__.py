"""Associations that we request, and the C-STOREs that go over them."""
