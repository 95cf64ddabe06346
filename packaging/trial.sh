#!/usr/bin/env bash
# Tries the package in a clean Debian, as root:
#
#   packaging/trial.sh PACKAGE.deb     install it, open files as a desktop does, remove it again
#   packaging/trial.sh --build         first make the package in there, too, from the last commit
#
# TRIAL_ROOT     where the clean system is made (default: build/trial; it is removed at the end)
# TRIAL_RELEASE  of Debian (default: bookworm)
# TRIAL_BASE     a tar archive of such a system, to unpack instead of running debootstrap
# TRIAL_PREPARE  a program that is called with the root's path before anything is installed there:
#                for a mirror or a proxy that this machine needs
# TRIAL_KEEP     if set, the system is left there
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(dirname "$here")
root=${TRIAL_ROOT:-$checkout/build/trial}
package=${1:?name the package, or --build}

leave() {
    for place in proc sys dev/shm dev; do
        mountpoint -q "$root/$place" && umount -l "$root/$place"
    done
    [ -n "${TRIAL_KEEP:-}" ] || rm -rf --one-file-system "$root"
}
if grep -q " $root/" /proc/mounts; then
    echo "something is still mounted below $root" >&2
    exit 2
fi
rm -rf --one-file-system "$root"
mkdir -p "$root"
trap leave EXIT

if [ -n "${TRIAL_BASE:-}" ]; then
    tar -C "$root" -xpf "$TRIAL_BASE"
else
    debootstrap --variant=minbase "${TRIAL_RELEASE:-bookworm}" "$root" >&2
fi
cp /etc/resolv.conf "$root/etc/resolv.conf"
mount -t proc proc "$root/proc"
mount --bind /sys "$root/sys"
mount --bind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/dev/shm"
[ -z "${TRIAL_PREPARE:-}" ] || "$TRIAL_PREPARE" "$root"

inside() {
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        chroot "$root" "$@"
}
inside apt-get update -qq

mkdir -p "$root/trial"
if [ "$package" = --build ]; then
    git -C "$checkout" archive --prefix=source/ HEAD | tar -C "$root/trial" -x
    inside apt-get install -qq -y --no-install-recommends \
        python3-venv libpython3-dev binutils dpkg-dev libegl1 libgl1 libglib2.0-0 libdbus-1-3 \
        libfontconfig1 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 \
        libxcb-shape0 libwayland-cursor0 libwayland-egl1 >/dev/null
    inside python3 /trial/source/packaging/build_deb.py --build /trial/build --dist /trial/dist
    mkdir -p "$checkout/dist"
    cp "$root"/trial/dist/*.deb "$checkout/dist/"
    cp "$root"/trial/dist/*.deb "$root/trial/ckptviewer.deb"
    rm -rf "$root/trial/build" "$root/trial/source"
    # What built it must not be what it runs by.
    inside apt-get purge -qq -y --auto-remove python3-venv libpython3-dev binutils dpkg-dev \
        libegl1 libgl1 libglib2.0-0 libdbus-1-3 libfontconfig1 libxkbcommon-x11-0 libxcb-cursor0 \
        libxcb-icccm4 libxcb-keysyms1 libxcb-shape0 libwayland-cursor0 libwayland-egl1 >/dev/null
else
    cp "$package" "$root/trial/ckptviewer.deb"
fi
cp -r "$checkout/resources/demo" "$root/trial/demo"
cp "$here/trial_inside.sh" "$root/trial/trial_inside.sh"
chmod -R a+rX "$root/trial"
inside bash /trial/trial_inside.sh
cp "$root"/trial/pictures/*.png "${TRIAL_PICTURES:-/dev/null}" 2>/dev/null || true
