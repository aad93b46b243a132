"""What is looked at before anything is changed: quotas, rights, prices; and what becomes of a master and of a group."""
