"""Kubernetes' conformance suite on the sandbox's machines: `make conformance` (docs/conformance.md).

build.py makes the suite and the images that its tests ask for, images.py has how each image is made, suite.py runs
tests and reads what became of them, report.py says it, __main__.py is the run.
"""
