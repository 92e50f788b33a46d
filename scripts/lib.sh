# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the shell scripts of this tree share: where things are, how an error
# looks, and a private apt which fetches from Debian without touching the
# machine's own apt configuration.  Sourced, never run.

top=$(CDPATH= cd -- "$(dirname -- "$0")/${top_rel:-..}" && pwd) || exit 1
cache=$top/.cache
assets=$cache/assets
# Another build than the usual one may be meant: the one with sanitizers
build=${BUILD:-$top/build}
# The source of QEMU that it is a build of: configure has written which
qemu=$(sed -n 's/^QEMU := //p' "$build/xenpv-kvm.mak" 2>/dev/null)
qemu=$top/${qemu:-.cache/qemu}
export LC_ALL=C
# Which Debian this machine has, of those that this tree knows: 12 or 13. What is
# built here has the libraries of that one
debian=bookworm
grep -q '^VERSION_CODENAME=trixie$' /etc/os-release 2>/dev/null &&
    debian=trixie

# One line which names what is missing and, after it, what to do about it.
die()
{
    echo "${0##*/}: $*" >&2
    exit 1
}

say()
{
    echo "${0##*/}: $*" >&2
}

# What a build with sanitizers does when it finds something: it ends. "leaks":
# they are looked for, too; not at the end of an emulator, which leaves all.
sanitizer_options()
{
    ASAN_OPTIONS=detect_leaks=0
    [ -z "$1" ] || ASAN_OPTIONS=detect_leaks=1
    UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
    ASAN_SYMBOLIZER_PATH=$(command -v llvm-symbolizer)
    export ASAN_OPTIONS UBSAN_OPTIONS ASAN_SYMBOLIZER_PATH
}

# A limit in seconds against what never ends, for how busy the machine is now:
# others that want its CPUs make all slow.
patience()
{
    awk -v s="$1" -v cpus="$(nproc)" \
        '{ print int(s * ($1 > cpus ? $1 / cpus : 1)) }' /proc/loadavg
}

# Runs a command as root: directly, or by sudo where that is installed.
as_root()
{
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        die "root is needed for '$*'; run it as root, then run this again"
    fi
}

# Two runs at once in one checkout (make -j, two terminals) must not fetch or
# unpack into the same place: the second waits for the first.
lock_cache()
{
    mkdir -p "$cache" || exit 1
    exec 9>"$cache/lock" || exit 1
    flock 9 || die "cannot lock $cache/lock"
}

# --- The private apt -------------------------------------------------------
#
# The machine's sources usually have neither deb-src nor the suites that are
# wanted here, and they are not ours to change.  So apt is given lists of its
# own, below .cache/apt, for the mirrors that the machine already uses.  The
# signature chain (Debian's keyring -> InRelease -> Sources/Packages -> file)
# is apt's own and is checked by apt. Guests are Debian 12's on any machine: it
# comes first where both have a package.

private_apt()
{
    tool=$1
    shift
    "$tool" -q \
        -o Dir::Etc::sourcelist="$cache/apt/sources.list" \
        -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::Etc::preferences=/dev/null \
        -o Dir::Etc::preferencesparts=/dev/null \
        -o Dir::State::Lists="$cache/apt/lists" \
        -o Dir::Cache="$cache/apt/cache" \
        -o Dir::Cache::pkgcache=pkgcache.bin \
        -o Dir::Cache::srcpkgcache=srcpkgcache.bin \
        -o Acquire::Languages=none \
        -o APT::Architecture=amd64 \
        -o Acquire::Retries=3 \
        -o APT::Sandbox::User=root \
        -o APT::Default-Release='/^bookworm(-security)?$/' \
        -o APT::Get::List-Cleanup=true \
        -o APT::Update::Error-Mode=any \
        "$@"
}

# Prints the address of a mirror that the machine's apt uses, of the archive
# labelled $1 (Debian or Debian-Security).  Labels are known only once the
# machine has run "apt-get update".
machine_mirror()
{
    apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 2>/dev/null |
        awk -F'|' -v label="$1" '$1 == label { print $2; exit }'
}

write_sources_list()
{
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    [ -r "$keyring" ] ||
        die "no Debian keyring to check signatures with: apt-get install debian-archive-keyring"

    main=$(machine_mirror Debian)
    if [ -z "$main" ]; then
        as_root apt-get -qq update || true
        main=$(machine_mirror Debian)
    fi
    [ -n "$main" ] ||
        die "apt has no Debian mirror: add one to /etc/apt/sources.list and run 'apt-get update'"
    # A minimal installation may have no security archive configured; mirrors
    # usually carry it beside the main one.
    security=$(machine_mirror Debian-Security)
    if [ -z "$security" ]; then
        security=${main%/}
        security=${security%/debian}/debian-security
    fi

    mkdir -p "$cache/apt/lists/partial" "$cache/apt/cache/archives/partial" ||
        exit 1
    by="[arch=amd64${foreign:+,$foreign} signed-by=$keyring]"
    src="[signed-by=$keyring]"
    cat > "$cache/apt/sources.list" <<END
deb $by $main bookworm main
deb $by $main bookworm-backports main
deb-src $src $main trixie main
END
    [ $debian = bookworm ] ||
        echo "deb $by $main $debian main" >> "$cache/apt/sources.list"
    # Other series of QEMU are in other suites
    if [ -n "$source_suite" ]; then
        echo "deb-src $src $main $source_suite main" \
            >> "$cache/apt/sources.list"
    fi
    cat > "$cache/apt/security.list" <<END
deb $by $security bookworm-security main
deb-src $src $security trixie-security main
END
    [ $debian = bookworm ] ||
        echo "deb $by $security $debian-security main" \
            >> "$cache/apt/security.list"
}

# Brings the private lists up to date: at most once a day, unless forced or
# without what is wanted: the suite $debian, and where they are set $source_suite
# and packages of the architecture $foreign. Call with the cache locked.
update_lists()
{
    stamp=$cache/apt/updated
    if [ "$1" != force ] &&
        [ -n "$(find "$stamp" -mmin -1440 2>/dev/null)" ] &&
        grep -q "^deb .* $debian main" "$cache/apt/sources.list" &&
        grep -q "^deb .arch=amd64.*$foreign[], ]" "$cache/apt/sources.list" &&
        { [ -z "$source_suite" ] ||
          grep -q "^deb-src .* $source_suite main" "$cache/apt/sources.list"; }
    then
        return 0
    fi
    command -v apt-get >/dev/null 2>&1 ||
        die "apt-get is missing: this needs Debian, or --qemu-src=DIR"
    write_sources_list
    say "updating the private package lists"
    update="private_apt apt-get -qq update"
    cat "$cache/apt/security.list" >> "$cache/apt/sources.list"
    if ! $update 9>&- >"$cache/apt/update.log" 2>&1; then
        # Perhaps no security archive there: then the main one alone must do.
        write_sources_list
        $update 9>&- >"$cache/apt/update.log" 2>&1 ||
            die "package lists cannot be fetched (see .cache/apt/update.log): check the network, then run this again"
        say "note: no security archive beside this machine's mirror"
    fi
    touch "$stamp"
}

# Downloads binary package $1 (optionally =version), unpacks it into $2 and
# prints its name and version.
unpack_package()
{
    dir=$cache/apt/download
    rm -rf "$dir" && mkdir -p "$dir" "$2" || exit 1
    (cd "$dir" && private_apt apt-get -qq download "$1" 9>&-) ||
        die "package $1 cannot be downloaded: check the network, then run this again"
    dpkg-deb -x "$dir"/*.deb "$2" || die "package $1 cannot be unpacked"
    dpkg-deb -W --showformat='${Package} ${Version}\n' "$dir"/*.deb
    rm -rf "$dir"
}

# Prints the name of the newest package whose name matches the extended
# regular expression $1: newest by the version within the name.
newest_package()
{
    private_apt apt-cache pkgnames 9>&- | grep -Ex -- "$1" | sort -V | tail -n 1
}
