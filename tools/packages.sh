# SPDX-License-Identifier: MIT
# The distribution packages that fv needs, for the scripts beside this file. To be sourced.

BUILD_PACKAGES="gcc meson ninja-build pkg-config libc6-dev liblmdb-dev libzstd-dev libxxhash-dev libjpeg-dev
    libjansson-dev libspng-dev libvips-dev libdnnl-dev libopenmpi-dev openmpi-bin gnuplot-nox
    libmicrohttpd-dev"
TEST_PACKAGES="g++ python3 python3-lmdb python3-zstandard python3-numpy python3-xxhash clang clang-format-14
    libcmocka-dev libasan8 libubsan1 libtsan2 spin"

# install_packages NAME...: installs those that are missing, as root or with sudo.
install_packages() {
    local missing="" p
    for p in "$@"; do
        dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q "ok installed" || missing="$missing $p"
    done
    [ -z "$missing" ] && return 0
    echo "installing:$missing"
    local sudo=""
    if [ "$(id -u)" -ne 0 ]; then
        sudo=sudo
        command -v sudo >/dev/null || {
            echo "these packages are missing:$missing: install them as root, then run this again" >&2
            return 1
        }
    fi
    $sudo apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null || {
        echo "could not install:$missing" >&2
        return 1
    }
}
