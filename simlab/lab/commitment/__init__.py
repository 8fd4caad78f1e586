"""The commitment matrix: faults and policies, one study each, and what that costs."""
