//! Names of commands.

/// How much a name says by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// A name that means nothing but the command.
    Sure,
    /// A word or an abbreviation that texts have as well.
    Common,
}

/// What the command line's first word names: its last component without `.exe`, in the case in which it is installed.
pub(super) fn lookup(word: &[u8]) -> Option<Name> {
    let base = word.rsplit(|b| matches!(b, b'/' | b'\\')).next().unwrap_or_default();
    let mut name = base.strip_suffix(b".exe").unwrap_or(base);
    // python3.11, php8, perl5
    let digits = name.iter().rev().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
    if let Some(letters) = name.get(..name.len() - digits).filter(|n| INTERPRETERS.contains(n)) {
        name = letters;
    }
    if name.len() < 2 || name.len() > LONGEST {
        return None;
    }
    let is = |list: &str| list.split_ascii_whitespace().any(|n| n.as_bytes() == name);
    if is(SURE) {
        Some(Name::Sure)
    } else if is(COMMON) {
        Some(Name::Common)
    } else {
        None
    }
}

/// Whether a path with wildcards could be that of a command: `/???/c?t`, `/bin/c*t`.
pub(super) fn glob(word: &[u8]) -> bool {
    let wild = word.iter().filter(|b| matches!(b, b'?' | b'*' | b'[')).count();
    if wild == 0 || word.len() > GLOB || !word.starts_with(b"/") {
        return false;
    }
    // More than one star would take time in the product of lengths.
    if word.iter().filter(|b| matches!(b, b'*' | b'[')).count() > 2 {
        return false;
    }
    let names = SURE.split_ascii_whitespace().chain(COMMON.split_ascii_whitespace());
    names.filter(|n| n.len() > 1).any(|name| {
        ["/bin/", "/usr/bin/"].iter().any(|dir| {
            let path: Vec<u8> = dir.bytes().chain(name.bytes()).collect();
            fits(word, &path)
        })
    })
}

/// Wildcards of file names against a path, `/` matched by itself only.
fn fits(pattern: &[u8], path: &[u8]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => {
            let end = path.iter().position(|b| *b == b'/').unwrap_or(path.len());
            (0..=end).any(|n| fits(rest, path.get(n..).unwrap_or_default()))
        }
        ([b'?', rest @ ..], [b, left @ ..]) => *b != b'/' && fits(rest, left),
        ([b'[', set @ ..], [b, left @ ..]) => {
            let Some(end) = set.iter().position(|b| *b == b']') else { return false };
            let (set, rest) = set.split_at(end);
            set.contains(b) && fits(rest.get(1..).unwrap_or_default(), left)
        }
        ([p, rest @ ..], [b, left @ ..]) => p == b && fits(rest, left),
        _ => false,
    }
}

const LONGEST: usize = 20;
/// Bytes of a path with wildcards that are looked at.
const GLOB: usize = 32;
const INTERPRETERS: &[&[u8]] = &[b"python", b"php", b"perl", b"ruby", b"lua"];

const SURE: &str = "whoami ifconfig ipconfig netstat nslookup wget curl uname traceroute tracert systeminfo tasklist \
    taskkill netcat ncat telnet chmod chown chgrp mkfifo mknod printenv lsof powershell pwsh certutil bitsadmin wmic \
    mshta rundll32 regsvr32 cscript wscript busybox getent tcpdump crontab useradd adduser usermod groupadd mysqldump \
    gcc perl python php ruby lua bash zsh ksh csh tcsh nc xxd openssl socat sudo scp rsync iptables systemctl \
    journalctl dmesg dpkg apt-get rpm nohup xargs awk gawk sed egrep fgrep grep rmdir mkdir tac nproc lscpu lsblk \
    nmap netsh schtasks icacls cacls findstr xcopy robocopy vssadmin wevtutil nltest base64 base32 phpinfo sqlmap \
    tftp killall pkill pgrep strace gdb msfvenom msfconsole mkpasswd getcap setcap lsmod insmod modprobe ssh-keygen";

const COMMON: &str = "id ls ps pwd cat rm cp mv sh env dir echo sleep ping date last who more less head tail cut set \
    type test touch kill time find sort net host hostname wc which printf read export exec eval source copy del start \
    ver true false tr split join paste file stat make free mount man uptime history at nl od rev tee df du ln arp \
    route ip ss dig ftp ssh su expr dash ash cmd reg attrib node java uniq diff tar gzip unzip zip sync shutdown reboot \
    halt logger login passwd groups locate lp vi vim nano ed ar as ld id3v2 users w3m lynx links dd fdisk command";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_by_their_last_component() {
        for name in ["whoami", "/usr/bin/curl", "C:\\Windows\\system32\\ipconfig.exe", "python3.11", "php8"] {
            assert_eq!(lookup(name.as_bytes()), Some(Name::Sure), "{name}");
        }
        assert_eq!(lookup(b"/bin/cat"), Some(Name::Common));
        for name in ["", "w", "WHOAMI", "window", "/bin/", "a/b/whoamix"] {
            assert_eq!(lookup(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn wildcards_stand_for_commands() {
        for path in ["/bin/c?t", "/???/c?t", "/b*/cat", "/usr/bin/wh*mi", "/bin/c[ab]t", "/?in/l?"] {
            assert!(glob(path.as_bytes()), "{path}");
        }
        for path in ["/bin/cat", "/api/*", "/*", "c?t", "/img/a?b", "/a*b*c*d"] {
            assert!(!glob(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn no_name_stands_twice() {
        let mut all: Vec<&str> =
            SURE.split_ascii_whitespace().chain(COMMON.split_ascii_whitespace()).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(all.iter().all(|n| n.len() <= LONGEST));
    }
}
