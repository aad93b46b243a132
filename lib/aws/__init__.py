"""AWS as a run speaks to it: client, credentials, tags and what is ours, objects, words for what is refused."""
