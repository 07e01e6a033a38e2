# shellcheck shell=bash
# Sourced by the scripts beside it: finds out what of the system a build needs and is not there, and installs it
# where that is allowed (root, or sudo without a password, on a system with apt-get). Elsewhere it says exactly what
# to install and ends with 2.
#
# What needs it: pingora's compression (libz-ng-sys) is built by cmake and a C compiler, and so are zstd, mimalloc and
# the cryptography of rustls. Some tests act as clients through curl.

require() { # require build|test
    require_rust
    local missing=()
    command -v cc >/dev/null || missing+=(compiler)
    command -v make >/dev/null || missing+=(make)
    command -v cmake >/dev/null || missing+=(cmake)
    if [[ $1 == test ]]; then
        command -v curl >/dev/null || missing+=(curl)
    fi
    if [[ ${#missing[@]} -eq 0 ]]; then return; fi

    echo "Missing: ${missing[*]}" >&2
    local packages
    packages=$(names_of_packages apt "${missing[@]}")
    if command -v apt-get >/dev/null && as_root true 2>/dev/null; then
        echo "Installing with apt-get: $packages" >&2
        # shellcheck disable=SC2086 # a list of words
        if install_packages $packages; then return; fi
        echo "apt-get could not install them." >&2
    fi
    tell_what_to_install "${missing[@]}"
    exit 2
}

# Installs Debian packages, without a question.
install_packages() {
    # Package lists that are old or were never fetched are the usual reason for a failure: fetch them first.
    as_root apt-get update -qq >&2 || true
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null >&2
}

as_root() {
    if [[ $(id -u) -eq 0 ]]; then "$@"; else command -v sudo >/dev/null && sudo -n "$@"; fi
}

require_rust() {
    # A toolchain of rustup which is not on the path of this shell yet.
    if ! command -v cargo >/dev/null && [[ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]]; then
        PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    fi
    if ! command -v cargo >/dev/null; then
        echo "Missing: Rust. Install it from https://rustup.rs, then run this again." >&2
        exit 2
    fi
    local wanted have
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    have=$(cargo --version | awk '{ print $2 }')
    if [[ $(printf '%s\n%s\n' "$wanted" "${have%%-*}" | sort -V | head -n 1) != "$wanted" ]]; then
        echo "Rust $have is too old: $wanted or later is needed. \`rustup update stable\` gets it." >&2
        exit 2
    fi
}

# The packages of things that are missing, as a package manager calls them.
names_of_packages() {
    local manager=$1 names=() thing
    shift
    for thing in "$@"; do
        case $manager:$thing in
            apt:compiler) names+=(gcc g++ libc6-dev) ;;
            dnf:compiler) names+=(gcc gcc-c++) ;;
            apk:compiler) names+=(gcc g++ musl-dev) ;;
            pacman:compiler) names+=(gcc) ;;
            zypper:compiler) names+=(gcc gcc-c++) ;;
            *) names+=("$thing") ;;
        esac
    done
    echo "${names[*]}"
}

tell_what_to_install() {
    echo "Install what is missing, then run this again:" >&2
    if [[ $(uname -s) == Darwin ]]; then
        echo "    xcode-select --install; brew install cmake" >&2
        return
    fi
    local manager found=
    for manager in apt dnf zypper pacman apk; do
        local program=$manager command
        case $manager in
            apt) program=apt-get command="sudo apt-get install" ;;
            dnf) command="sudo dnf install" ;;
            zypper) command="sudo zypper install" ;;
            pacman) command="sudo pacman -S" ;;
            apk) command="sudo apk add" ;;
        esac
        if command -v "$program" >/dev/null; then
            echo "    $command $(names_of_packages "$manager" "$@")" >&2
            found=yes
        fi
    done
    if [[ -z $found ]]; then
        echo "    a C and C++ compiler, make, cmake and curl, with your system's package manager" >&2
    fi
}
