#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs a command in a bare Debian: a minimal root made by debootstrap, with sudo and a user, and nothing of what this
# host has installed. The command runs as that user in a fresh clone of this commit; what is not committed is not there.
#   scripts/bare-root.sh [--files FOLDER] SUITE COMMAND...
# SUITE is bookworm (Debian 12) or trixie (Debian 13); as root, on Debian. The folder is there as ~/files.
# The root is reached as this host reaches the network: apt's sources and settings for fetching, pip's settings,
# certificates, names of hosts, and the variables for them (keep_variable) are copied into it. It lies in /var/tmp and is
# removed at the end; its mounts and processes are in namespaces of their own and end with the command.
set -euo pipefail
umask 022
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
readonly user=visitor
readonly home=/home/$user

log() { printf 'bare-root: %s\n' "$*" >&2; }

# apt's sources of this host's release, for SUITE instead, in one-line form; none on a host that is not Debian.
sources() {  # suite
  local codename
  codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    sed -nE "s/^([^ ]+) $codename(-[a-z]+)? ([^ ]+)$/deb \1 $1\2 \3/p" | sort -u
}

keep_variable() {  # name
  case $1 in
    *_proxy | *_PROXY | PIP_* | SSL_CERT_FILE | SSL_CERT_DIR | REQUESTS_CA_BUNDLE | CURL_CA_BUNDLE | GIT_SSL_CAINFO) ;;
    *) return 1 ;;
  esac
}

copy_if_there() {  # root, path...
  local root=$1 path
  shift
  for path in "$@"; do
    if [ -e "$path" ]; then
      mkdir -p "$root${path%/*}"
      cp -rL --no-target-directory "$path" "$root$path"
    fi
  done
}

# The variables kept stand in $kept as NAME=VALUE, and as sudo's settings in the root; a file that one names comes along.
copy_network_settings() {  # root, suite
  local root=$1 lines name
  lines=$(sources "$2")
  if [ -n "$lines" ]; then printf '%s\n' "$lines" >"$root/etc/apt/sources.list"; fi
  apt-config dump | grep '^Acquire::' | grep -v '^Acquire::IndexTargets' >"$root/etc/apt/apt.conf.d/90host"
  copy_if_there "$root" /etc/apt/auth.conf /etc/apt/auth.conf.d /etc/resolv.conf /etc/hosts /etc/pip.conf \
    /etc/xdg/pip/pip.conf /etc/ssl/certs/ca-certificates.crt
  # The package ca-certificates writes its bundle anew, with what stands here.
  mkdir -p "$root/usr/local/share/ca-certificates"
  cp -L /etc/ssl/certs/ca-certificates.crt "$root/usr/local/share/ca-certificates/host.crt"
  for name in .config/pip/pip.conf .pip/pip.conf; do
    if [ -e "${HOME:-/root}/$name" ]; then install -D -m 644 "${HOME:-/root}/$name" "$root$home/$name"; fi
  done

  for name in $(compgen -e); do
    keep_variable "$name" || continue
    kept+=("$name=${!name}")
    printf 'Defaults env_keep += "%s"\n' "$name" >>"$root/etc/sudoers.d/$user"
    if [[ ${!name} == /* && -f ${!name} ]]; then copy_if_there "$root" "${!name}"; fi
  done
}

make_root() {  # root, suite
  local root=$1 mirror
  mirror=$(sources "$2" | sed -n "s/^deb \([^ ]*\) $2 main$/\1/p")
  # shellcheck disable=SC2086  # no mirror, no argument: debootstrap's own
  debootstrap --variant=minbase --include=sudo "$2" "$root" $mirror >"$root.log" 2>&1 || {
    tail -n 20 "$root.log" >&2
    return 1
  }
  mount -t proc proc "$root/proc"
  mount --rbind /sys "$root/sys"
  mkdir -p "$root/dev/shm"
  mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
  chroot "$root" useradd --create-home --shell /bin/bash "$user"
  printf '%s ALL=(ALL) NOPASSWD: ALL\n' "$user" >"$root/etc/sudoers.d/$user"
}

clone_into() {  # root
  # The clone may belong to somebody else than root.
  printf '[safe]\n\tdirectory = *\n' >"$1/etc/gitconfig"
  GIT_CONFIG_GLOBAL=$1/etc/gitconfig git clone --quiet --no-local --depth 1 . "$1$home/lazuli"
  rm "$1/etc/gitconfig"
}

inside() {  # root, suite, command...
  local root=$1 suite=$2 kept=()
  shift 2
  log "making a root of $suite"
  make_root "$root" "$suite"
  copy_network_settings "$root" "$suite"
  clone_into "$root"
  if [ -n "${files:-}" ]; then cp -r "$files" "$root$home/files"; fi
  chroot "$root" chown -R "$user:$user" "$home"
  log "running in it: $*"
  chroot --userspec="$user:$user" "$root" /usr/bin/env -i HOME="$home" USER="$user" LOGNAME="$user" SHELL=/bin/bash \
    PATH=/usr/local/bin:/usr/bin:/bin "${kept[@]}" bash -c 'cd ~/lazuli && exec "$@"' bash "$@" </dev/null
}

cd "$(dirname "$0")/.."
if [ "${1:-}" = --inside ]; then
  shift
  inside "$@"
  exit
fi
if [ "${1:-}" = --files ]; then
  files=$(realpath "${2:?a folder}")
  export files
  shift 2
fi
if [ $# -lt 2 ]; then
  sed -n 's/^#   //p' "$0" >&2
  exit 2
fi
if [ "$(id -u)" -ne 0 ]; then
  log "expected to run as root, which chroot needs"
  exit 1
fi
scripts/install-packages.sh debootstrap git ca-certificates util-linux

root=$(mktemp -d /var/tmp/lazuli-root.XXXXXX)
chmod 755 "$root"
child=
remove_root() {
  if [ -n "$child" ]; then
    # unshare ignores what is gentler. --kill-child ends the processes inside with it, which takes a moment.
    kill -KILL "$child" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
    sleep 1
  fi
  rm -rf --one-file-system "$root" "$root.log"
}
trap remove_root EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
# In the background, so that a signal is acted on at once.
unshare --mount --pid --fork --kill-child --mount-proc "$BASH" scripts/bare-root.sh --inside "$root" "$@" &
child=$!
status=0
wait "$child" || status=$?
child=
exit "$status"
