"""What kube_up.py and kube_down.py are made of: one module a step, flat here, and the rooms that all steps share.

The words that the code uses in a sense of its own:

borne       with one of the cluster's tags, whoever else's it may be
brought     there before the cluster and named by an option (VPC_ID, AWS_S3_BUCKET): used, never changed or deleted
claim       an object in the bucket that says which of two things counts, where two runs have made one each
disputed    with the tags of two clusters: touched by neither
doomed      what kube_down.py has found and will remove
late        made, and not yet shown by AWS to whoever asks
lost        of an answer: the call may have been carried out or not; of a thing: gone, though the cluster needs it
ours        with one of the cluster's two tags, and with no other cluster's (lib/aws/tags.py)
planned     in a dry run: what would be made, with a placeholder for its id
remembered  in settings.env in the bucket, from the last run
settled     of an instance: neither on its way up nor down
spared      with the cluster's tag and yet a person's own: named, and left
stray       an instance that goes with no group: the master, or one that somebody took out of its group
told        said to the person once, and not again in this run
"""
