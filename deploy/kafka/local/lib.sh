# shellcheck shell=bash disable=SC2034
# Settings of the local cluster and what all of its commands share.
# Sourced by ./kafka; KAFKA_DIR is relative to where that is called.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=$(sed -n 's/.*<kafka.version>\(.*\)<.*/\1/p' "$here/pom.xml")
dir=${KAFKA_DIR:-./kafka-data}
port=${KAFKA_PORT:-9092}
controller_port=${KAFKA_CONTROLLER_PORT:-$((port + 1000))}
heap=${KAFKA_HEAP:-256m}
brokers=${BROKERS:-} # empty: what the folder holds, else 3
libs=$dir/libs-$version

say() { echo "kafka: $*"; }
die() {
	echo "kafka: $*" >&2
	exit 1
}

# check_settings refuses what would only fail later and less clearly.
check_settings() {
	local value
	for value in "$port" "$controller_port"; do
		[[ $value =~ ^[1-9][0-9]{0,4}$ && $value -le 65000 ]] || die "port $value: want a number from 1 to 65000"
	done
	[[ $heap =~ ^[1-9][0-9]*[mg]$ ]] || die "KAFKA_HEAP=$heap: want a size such as 256m or 1g"
	[[ ${brokers:-3} =~ ^[1-9]$ ]] || die "BROKERS=$brokers: want 1 to 9"
	((port + ${brokers:-3} <= controller_port || controller_port + ${brokers:-3} <= port)) ||
		die "the brokers' ports from $port and the controllers' from $controller_port overlap"
	[[ $dir != *[[:space:]]* ]] || die "KAFKA_DIR=$dir: Kafka takes no folder with a space in its name"
}

# open_folder makes dir absolute and reads what cluster lies in it.
open_folder() {
	if [ -d "$dir" ]; then
		dir=$(cd "$dir" && pwd -P) # one name, whichever way it was reached
		libs=$dir/libs-$version
	fi
	cluster='' held=''
	if [ -f "$dir/cluster" ]; then
		read -r cluster held <"$dir/cluster" || :
		[[ -n $cluster && $held =~ ^[1-9]$ ]] || die "$dir/cluster is not what this script wrote; remove $dir, or name another folder with KAFKA_DIR"
	fi
	[ -z "$held" ] || [ -z "$brokers" ] || [ "$brokers" = "$held" ] ||
		die "$dir holds a cluster of $held broker(s), and BROKERS=$brokers was asked for: stop it and remove $dir, or name another folder with KAFKA_DIR"
	brokers=${brokers:-${held:-3}}
}

# addresses lists the brokers as clients want them.
addresses() {
	local n list=
	for ((n = 1; n <= brokers; n++)); do list+=,127.0.0.1:$((port + n - 1)); done
	echo "${list#,}"
}

# pid_of prints the process of broker $1. A pid file outlives a kill -9, and its
# number may be another process's by then, so the command line has to be ours.
pid_of() {
	local pid
	[ -f "$dir/$1/pid" ] && read -r pid <"$dir/$1/pid" || return 1
	[[ $(ps -ww -o command= -p "$pid" 2>/dev/null) == *"kafka.Kafka $dir/$1/server.properties"* ]] || return 1
	echo "$pid"
}

# listening reports whether anybody takes connections on loopback port $1.
listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# find_java sets java to one that is new enough.
find_java() {
	local major missing='there is no java'
	java=java
	if [ -n "${JAVA_HOME:-}" ]; then
		java=$JAVA_HOME/bin/java missing="JAVA_HOME=$JAVA_HOME has no bin/java"
	fi
	command -v "$java" >/dev/null ||
		die "Kafka $version needs Java 17 or later, and $missing. On Debian: apt-get install openjdk-17-jre-headless"
	major=$("$java" -version 2>&1 | sed -nE 's/.* version "(1\.)?([0-9]+).*/\2/p' | head -n 1)
	[[ $major =~ ^[0-9]+$ ]] || die "$java -version tells no version; Kafka $version needs Java 17 or later"
	((major >= 17)) || die "Kafka $version needs Java 17 or later; $java is $major. Set JAVA_HOME to a newer one"
}

# run_java runs a class of Kafka's jars. The log's configuration is $1.
run_java() {
	local log=$1
	shift
	"$java" -Xmx"$heap" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$here/$log" -cp "$libs/*" "$@"
}
