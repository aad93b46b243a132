"""The simulated AWS itself, on moto: the one folder that knows moto, whose inner parts change without notice."""
