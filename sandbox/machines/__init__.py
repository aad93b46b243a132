"""Instances as machines: systemd-nspawn machines that boot their very user-data, in namespaces that are VPCs."""
