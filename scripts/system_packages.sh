#!/bin/sh
# Install a Debian package unless a command works already:  system_packages.sh COMMAND PACKAGE
# COMMAND is a program's name, or a line that exits 0 when the package is there.
set -eu
command=$1
package=$2
case $command in
  *" "*) $command >/dev/null 2>&1 && exit 0 ;;
  *) command -v "$command" >/dev/null 2>&1 && exit 0 ;;
esac
if [ "$(id -u)" = 0 ]; then sudo=""; else sudo="sudo"; fi
echo "Installing Debian's $package"
if ! { $sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq "$package" >/dev/null; }; then
  echo "phashopt: $package is needed and could not be installed; run: apt-get install $package" >&2
  exit 1
fi
