# shellcheck shell=bash disable=SC2034,SC2154
# What the scripts of this folder share. Each sets part, its name in messages,
# and dir, the folder with all that it writes, before it calls anything here.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

say() { echo "$part: $*"; }
die() {
	echo "$part: $*" >&2
	exit 1
}

# usage prints the comment at the top of script $1.
usage() {
	sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$1" >&2
	exit 2
}

# check_port refuses what is no port. The setting's name is $1.
check_port() {
	[[ $2 =~ ^[1-9][0-9]{0,4}$ && $2 -le 65000 ]] || die "$1=$2: want a number from 1 to 65000"
}

# check_heap refuses what Java would only complain about. The setting's name is $1.
check_heap() {
	[[ $2 =~ ^[1-9][0-9]*[mg]$ ]] || die "$1=$2: want a size such as 256m or 1g"
}

# find_folder makes dir absolute where it is there: one name, whichever way it was
# reached. The setting's name is $1.
find_folder() {
	[ -n "$dir" ] || die "$1 is empty: want a folder"
	[[ $dir != *[[:space:]\;\"\'\\]* ]] || die "$1=$dir: want a folder without spaces, quotes and semicolons in its name"
	[ ! -d "$dir" ] || dir=$(cd "$dir" && pwd -P)
}

# make_folder makes dir, or refuses one that holds something else: more than what
# is fetched before anything else is made, whose names follow the setting's, $1.
make_folder() {
	local setting=$1 name known=()
	shift
	for name in "$@"; do known+=(! -name "$name"); done
	if [ -e "$dir" ] && [ -n "$(find "$dir" -mindepth 1 -maxdepth 1 "${known[@]}" 2>/dev/null | head -n 1)" ]; then
		die "$dir is there and holds nothing that $part made: remove it, or name another folder with $setting"
	fi
	mkdir -p "$dir" 2>/dev/null || die "$dir cannot be made: name another folder with $setting"
	find_folder "$setting"
}

# listening reports whether anybody takes connections on loopback port $1.
listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# taken reports whether somebody keeps port $1: a process that was just killed may
# need a moment to let go of it.
taken() {
	local n
	for ((n = 0; n < 15; n++)); do
		listening "$1" || return 1
		sleep 0.2
	done
}

# holder tells who listens on port $1, where that can be found out.
holder() {
	local who=
	if command -v ss >/dev/null; then
		who=$(ss -Hltnp "sport = :$1" 2>/dev/null | sed -nE 's/.*users:\(\("([^"]+)",pid=([0-9]+).*/\1, process \2/p' | head -n 1)
	elif command -v lsof >/dev/null; then
		who=$(lsof -nP -iTCP:"$1" -sTCP:LISTEN -F cp 2>/dev/null | awk '/^p/ { p = substr($0, 2) } /^c/ { print substr($0, 2) ", process " p; exit }')
	fi
	[ -z "$who" ] || echo " by $who"
}

# running prints the process of pid file $1. The file outlives a kill -9, and its
# number may be another process's by then, so the command line must hold $2.
running() {
	local pid
	[ -f "$1" ] && read -r pid <"$1" || return 1
	[[ $(ps -ww -o command= -p "$pid" 2>/dev/null) == *"$2"* ]] || return 1
	echo "$pid"
}

# resident prints the memory of process $1, in MB.
resident() {
	local kb
	kb=$(ps -o rss= -p "$1") || :
	echo $((${kb:-0} / 1024))
}

# java_major prints the major version of the Java whose launcher is $1.
java_major() {
	local major
	major=$("$1" -version 2>&1 | sed -nE 's/.* version "(1\.)?([0-9]+).*/\2/p' | head -n 1)
	[[ $major =~ ^[0-9]+$ ]] || return 1
	echo "$major"
}

# maven runs Maven, which verifies the checksums of what it fetches, in a folder
# for what it leaves behind.
maven() {
	command -v mvn >/dev/null || die "Maven fetches $part's jars, and there is no mvn. On Debian: apt-get install maven"
	mkdir -p "$dir/maven"
	(cd "$dir/maven" && mvn -q -B -Dstyle.color=never "$@") >"$dir/maven.log" 2>&1 || {
		grep -m 3 ERROR "$dir/maven.log" >&2 || tail -n 3 "$dir/maven.log" >&2
		die "Maven could not fetch what $part needs; all that it said is in $dir/maven.log"
	}
	rm -rf "$dir/maven"
}
