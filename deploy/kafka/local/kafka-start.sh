# shellcheck shell=bash disable=SC2154
# kafka start: what is needed is fetched, formatted and started.

# fetch copies Kafka's jars.
fetch() {
	[ ! -d "$libs" ] || return 0
	say "fetching Kafka $version with Maven (54 MB, once) into $libs"
	rm -rf "$libs.partial"
	maven -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$libs.partial"
	mv "$libs.partial" "$libs"
}

# prepare_folder makes the folder, or refuses one that holds something else.
prepare_folder() {
	[ -z "$cluster" ] || return 0
	make_folder KAFKA_DIR 'libs-*' maven maven.log
	open_folder
}

# new_cluster writes down what the folder is for, before anything is in it.
new_cluster() {
	[ -z "$cluster" ] || return 0
	cluster=$(head -c 16 /dev/urandom | base64 | tr '+/' 'AB' | cut -c 1-22)
	echo "$cluster $brokers $version $secure" >"$dir/cluster.new"
	mv "$dir/cluster.new" "$dir/cluster"
}

# listeners prints where broker $1 listens.
listeners() {
	echo "$protocol://127.0.0.1:$((port + $1 - 1)),CONTROLLER://127.0.0.1:$((controller_port + $1 - 1))"
}

# configure writes the properties of broker $1, which may hold a password.
configure() (
	umask 077
	local n controllers=PLAINTEXT voters='' copies=$((brokers < 3 ? brokers : 3)) insync=$((brokers < 3 ? 1 : 2))
	for ((n = 1; n <= brokers; n++)); do voters+=,$n@127.0.0.1:$((controller_port + n - 1)); done
	[ "$secure" = plain ] || controllers=SSL
	mkdir -p "$dir/$1"
	cat >"$dir/$1/server.properties" <<-PROPERTIES
		process.roles=broker,controller
		node.id=$1
		controller.quorum.voters=${voters#,}
		listeners=$(listeners "$1")
		advertised.listeners=$protocol://127.0.0.1:$((port + $1 - 1))
		listener.security.protocol.map=$protocol:$protocol,CONTROLLER:$controllers
		inter.broker.listener.name=$protocol
		controller.listener.names=CONTROLLER
		log.dirs=$dir/$1/data

		# Topics are declared, never made by a typing error.
		auto.create.topics.enable=false
		default.replication.factor=$copies
		min.insync.replicas=$insync

		# Kafka's own topics: as safe, with fewer partitions than for a large cluster.
		offsets.topic.num.partitions=12
		offsets.topic.replication.factor=$copies
		transaction.state.log.num.partitions=12
		transaction.state.log.replication.factor=$copies
		transaction.state.log.min.isr=$insync
		share.coordinator.state.topic.num.partitions=12
		share.coordinator.state.topic.replication.factor=$copies
		share.coordinator.state.topic.min.isr=$insync

		# The log cleaner takes this in one piece as the broker starts; the default is
		# half of a heap of 256m. A pass holds 1.2 million keys.
		log.cleaner.dedupe.buffer.size=33554432

		# Nobody waits for more members on a laptop.
		group.initial.rebalance.delay.ms=0
	PROPERTIES
	[ "$secure" = plain ] || secure_properties >>"$dir/$1/server.properties"
)

# format prepares the storage of broker $1 once. Its arguments are in a file, since
# passwords are among them.
format() (
	umask 077
	local arguments=$dir/$1/format.arguments
	[ ! -f "$dir/$1/data/meta.properties" ] || return 0
	{
		echo "kafka.tools.StorageTool format --ignore-formatted -t $cluster -c $dir/$1/server.properties"
		[ "$secure" = plain ] || scram_users
	} >"$arguments"
	run_java log4j2-tools.xml "@$arguments" >"$dir/$1/format.log" 2>&1 || :
	rm "$arguments"
)

# check_storage refuses the data of broker $1 where it is of another cluster or
# broker, or has lost the file that says so: formatted again it would be an empty
# member that the others believe to have everything.
check_storage() {
	local meta=$dir/$1/data/meta.properties
	if [ -f "$meta" ]; then
		[ "$(grep -cxF -e "cluster.id=$cluster" -e "node.id=$1" "$meta")" = 2 ] ||
			die "$dir/$1/data is not of broker $1 of cluster $cluster: remove $dir, or name another folder with KAFKA_DIR"
	elif [ -e "$dir/$1/data/__cluster_metadata-0" ]; then
		die "$dir/$1/data holds records and has lost its meta.properties: remove $dir, or name another folder with KAFKA_DIR"
	fi
}

# check_ports refuses ports of broker $1 that somebody else has.
check_ports() {
	local one
	for one in $((port + $1 - 1)) $((controller_port + $1 - 1)); do
		taken "$one" || continue
		die "port $one, for broker $1, is taken$(holder "$one"). Choose others: KAFKA_PORT=19092 takes 19092 and up, its controllers $((19092 + 1000)) and up"
	done
}

# launch starts broker $1 in the background, with a log of this run only.
launch() {
	rm -f "$dir/$1/broker.log" "$dir/$1/broker.log.1"
	# shellcheck disable=SC2086 # these are several
	nohup "$java" -Xms"$heap" -Xmx"$heap" $performance -XX:MaxDirectMemorySize=128m -XX:+ExitOnOutOfMemoryError \
		-Dlog4j2.configurationFile="$here/log4j2.xml" -Dkafka.log="$dir/$1/broker.log" \
		-cp "$libs/*" kafka.Kafka "$dir/$1/server.properties" </dev/null >"$dir/$1/out.log" 2>&1 &
	echo $! >"$dir/$1/pid"
}

# await_started waits until broker $1 serves, which it logs only after the
# controllers have let it in.
await_started() {
	local deadline=$((SECONDS + 180)) pid
	read -r pid <"$dir/$1/pid"
	until grep -q 'Kafka Server started' "$dir/$1/broker.log" 2>/dev/null; do
		kill -0 "$pid" 2>/dev/null || { # its command line is java's only after a moment
			grep -hE -m 3 'FATAL|ERROR|Exception' "$dir/$1/broker.log" "$dir/$1/out.log" 2>/dev/null >&2 || :
			die "broker $1 ended while it started; its log is $dir/$1/broker.log"
		}
		((SECONDS < deadline)) || die "broker $1 did not start within 180 s; its log is $dir/$1/broker.log"
		sleep 0.2
	done
}

# start_brokers starts those of the given that do not run, all at once since
# they have to find each other, and stops them again if one fails.
start_brokers() {
	local n
	begun=()
	for n in "$@"; do
		if pid_of "$n" >/dev/null; then
			grep -qxF "listeners=$(listeners "$n")" "$dir/$n/server.properties" ||
				die "broker $n of $dir runs on other ports already: make kafka-status tells; stop it first"
			continue
		fi
		check_ports "$n"
		check_storage "$n"
		begun+=("$n")
	done
	[ "${#begun[@]}" -gt 0 ] || return 0
	for n in "${begun[@]}"; do
		configure "$n"
		format "$n" &
	done
	wait
	for n in "${begun[@]}"; do
		[ -f "$dir/$n/data/meta.properties" ] || {
			tail -n 3 "$dir/$n/format.log" >&2
			die "the storage of broker $n could not be formatted"
		}
	done
	trap '[ "$?" = 0 ] || stop_brokers "${begun[@]}"' EXIT
	trap 'exit 130' INT TERM
	for n in "${begun[@]}"; do launch "$n"; done
	for n in "${begun[@]}"; do await_started "$n"; done
	trap - EXIT INT TERM
}

start() {
	local began=$SECONDS n all=()
	for ((n = 1; n <= brokers; n++)); do all+=("$n"); done
	find_java
	check_secure
	prepare_folder
	for n in "${all[@]}"; do pid_of "$n" >/dev/null || check_ports "$n"; done # before the download
	fetch
	new_cluster
	make_credentials
	start_brokers "${all[@]}"
	allow
	if [ "${#begun[@]}" = 0 ]; then
		say "Kafka $version runs already: $(addresses)"
	else
		say "Kafka $version, ${#begun[@]} broker(s) started in $((SECONDS - began)) s, data in $dir: $(addresses)"
	fi
	[ "$secure" = plain ] || say "clients need more than addresses: --config $dir/clients/NAME.yaml, of: ${users[*]:1}"
}
