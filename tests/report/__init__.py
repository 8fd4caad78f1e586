"""Tests of pictures, pages and tables."""
