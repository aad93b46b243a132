"""AWS at its worst, at every call: run whole by `make torture`, a spread of it by tests/test_torture.py."""
