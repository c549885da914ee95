#!/bin/sh
# Installs the programs and Python environments that the tests drive. Run by `make test`; safe to run again.
#
# Without root or apt it installs nothing with apt and says what is missing: the tests that need it then skip loudly.
# With SALLYPORT_TEST_REQUIRE_ALL=1 (as in .ci/run) anything missing is a failure.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
venvs=${SALLYPORT_TEST_VENVS:-$here/target/venv}
PATH=$PATH:/usr/sbin:/sbin
require=${SALLYPORT_TEST_REQUIRE_ALL:-0}

# program:package, the program as the tests look for it; `tests/it/setup.rs` fails when a test drives one that is not here.
# Every Debian has bash, the coreutils, diffutils, grep and sed; everything else is named, also what most machines have.
wanted="ssh:openssh-client ssh-keygen:openssh-client ssh-agent:openssh-client scp:openssh-client sftp:openssh-client
sshd:openssh-server sftp-server:openssh-sftp-server xauth:xauth plink:putty-tools pscp:putty-tools psftp:putty-tools
dbclient:dropbear-bin sshpass:sshpass rsync:rsync expect:expect script:bsdutils vtysh:frr promtool:prometheus strace:strace
netconfd:netconfd ip:iproute2 mount:mount kill:procps pkill:procps awk:mawk openssl:openssl curl:curl asciinema:asciinema
nginx:nginx-light unshare:util-linux git:git make:make systemd-analyze:systemd python3:python3 venv:python3-venv
chromium:chromium chromium-policy:chromium certutil:libnss3-tools pk12util:libnss3-tools"

# Lets Chromium present its client certificate on the test's names without asking anybody.
browser_policy=/etc/chromium/policies/managed/sallyport-tests.json

have() {
    case $1 in
        sftp-server) [ -x /usr/lib/openssh/sftp-server ] || [ -x /usr/libexec/openssh/sftp-server ] || [ -x /usr/lib/ssh/sftp-server ] ;;
        chromium-policy) [ -e $browser_policy ] ;;
        venv) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
        *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}

missing() {
    for pair in $wanted; do
        have "${pair%%:*}" || echo "${pair#*:}"
    done | sort -u | tr '\n' ' '
}

# Nothing that is installed for a test is started as a service, as installing sshd or FRR would otherwise do.
policy=/usr/sbin/policy-rc.d
install() {
    if [ ! -e $policy ]; then
        trap 'rm -f $policy' EXIT
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # One by one after a failure: a package that this distribution lacks must not keep the others out.
    apt-get install -y -qq --no-install-recommends "$@" >/dev/null || for package; do
        apt-get install -y -qq --no-install-recommends "$package" >/dev/null || true
    done
}

packages=$(missing)
if [ -n "$packages" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "test-setup: installing $packages"
    # In a shell of its own, so that its trap runs at its end.
    # shellcheck disable=SC2086
    (install $packages)
fi

if have chromium && ! have chromium-policy && [ "$(id -u)" = 0 ]; then
    mkdir -p "${browser_policy%/*}"
    printf '%s\n' '{"AutoSelectCertificateForUrls": ["{\"pattern\":\"https://[*.]sallyport.carrier.example\",\"filter\":{}}"]}' >$browser_policy
fi

# One environment per requirements file: NAME from tests/requirements-NAME.txt. A stamp tells whether it is current. Nothing comes in that the
# file does not pin: `--no-deps`, and `pip check` fails when something is lacking.
lacking=$(missing)
for file in "$here"/tests/requirements-*.txt; do
    name=$(basename "$file" .txt)
    name=${name#requirements-}
    stamp=$venvs/$name/.installed
    if cmp -s "$file" "$stamp" 2>/dev/null && "$venvs/$name/bin/python" -c '' 2>/dev/null; then
        continue
    fi
    echo "test-setup: python environment $name"
    rm -rf "${venvs:?}/$name"
    mkdir -p "$venvs"
    if python3 -m venv "$venvs/$name" \
        && "$venvs/$name/bin/pip" install -q --disable-pip-version-check --no-deps -r "$file" \
        && "$venvs/$name/bin/pip" check -q; then
        cp "$file" "$stamp"
    else
        rm -rf "${venvs:?}/$name"
        lacking="${lacking}python:$name "
    fi
done

if [ -n "$lacking" ]; then
    echo "test-setup: NOT AVAILABLE: $lacking" >&2
    if [ "$require" = 1 ]; then
        exit 1
    fi
    echo "test-setup: tests that need these will skip, and say so" >&2
fi
echo "test-setup: ready"
