"""How AEs talk: the seam that workflows see, and one implementation of it per world."""
