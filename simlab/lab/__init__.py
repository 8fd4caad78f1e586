"""The one place that knows everybody: topology and seed in, a run in either world, a result out."""
