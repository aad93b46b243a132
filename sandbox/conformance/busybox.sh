#!/bin/sh
# Compiles busybox from its source, as Debian keeps it: busybox.sh WORK OUT SUITE. Debian's own drops variables like data-1,
# which tests pass through its shell. It is what the default configuration gives, in one file, without what the headers of
# a new Linux lack (tc) and what old assemblers lack (SHA's instructions).
set -eu

cd "$1"
out=$2
keys=/usr/share/keyrings/debian-archive-keyring.gpg # where apt's own lists name them for themselves only
[ -e $keys ] && signed="[signed-by=$keys] " || signed=
echo "deb-src ${signed}http://deb.debian.org/debian $3 main" >sources.list
mkdir -p lists/partial source

sources() {
	apt-get -q -o "Dir::Etc::sourcelist=$PWD/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$PWD/lists" \
		-o APT::Sandbox::User=root "$@"
}

sources update
sources source --download-only busybox
tar -xf busybox_*.orig.tar.bz2 -C source --strip-components=1
cd source
make defconfig
sed -i 's/^# CONFIG_STATIC is not set/CONFIG_STATIC=y/; s/^CONFIG_TC=y/# CONFIG_TC is not set/' .config
sed -i 's/^CONFIG_SHA1_HWACCEL=y/# CONFIG_SHA1_HWACCEL is not set/' .config
make -j"$(nproc)" busybox
cp busybox "$out"
