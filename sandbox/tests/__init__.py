"""Tests of the sandbox. The fixtures are those of all tests, in conftest.py."""
