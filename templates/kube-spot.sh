#!/bin/bash
# Asks, as often as AWS advises, whether this spot instance gets the two minutes' notice of its end, and shuts it down then.
# The kubelet holds that up: its Node is not Ready, gets no more pods and leaves Services, and the pods end before the host.
# (docs.aws.amazon.com/AWSEC2, Spot Instance interruption notices; kubernetes.io/docs, Node shutdowns)
at=http://169.254.169.254/latest

notice() {
	local token
	token=$(curl --silent --fail --max-time 2 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' $at/api/token) &&
		curl --silent --fail --max-time 2 -H "X-aws-ec2-metadata-token: $token" $at/meta-data/spot/instance-action
}

until words=$(notice); do sleep 5; done
echo "kube-spot: AWS takes this instance, it shuts down: $words" | tee /dev/console
systemctl poweroff
