"""What the records tell: statistics, the fate of every instance, and whether expectations held.

Everything here is computed from the frames of ``simlab.records`` alone; nothing looks into a running world.
"""
